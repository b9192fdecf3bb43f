// A hash table from four numbers to one that forgets everything at no cost: each slot carries the stamp of the round that wrote it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inferd::grammar {

struct TableKey {
  int32_t a, b, c, d;
  bool operator==(const TableKey& other) const = default;
};

class StampedTable {
 public:
  StampedTable() : slots_(kFirstSlots) {}

  void clear() {
    numUsed_ = 0;
    stamp_++;
  }

  /** The value of the key, and whether it was there; `value` goes in where it was not. */
  struct Found {
    int32_t value;
    bool isNew;
  };
  Found find_or_insert(const TableKey& key, int32_t value) {
    if (numUsed_ * 2 >= slots_.size()) grow();
    Slot& slot = slot_of(key);
    if (slot.stamp == stamp_) return {slot.value, false};
    slot = {key, value, stamp_};
    numUsed_++;
    return {value, true};
  }
  /** Whether the key was new. */
  bool insert(const TableKey& key) { return find_or_insert(key, 0).isNew; }
  /** -1 when it is not there. */
  int32_t find(const TableKey& key) {
    const Slot& slot = slot_of(key);
    return slot.stamp == stamp_ ? slot.value : -1;
  }

  size_t memory_bytes() const { return slots_.size() * sizeof(Slot); }
  /** Gives the memory of a large round back. */
  void shrink() {
    std::vector<Slot>(kFirstSlots).swap(slots_);
    numUsed_ = 0;
  }

 private:
  static constexpr size_t kFirstSlots = 64;
  struct Slot {
    TableKey key{};
    int32_t value = 0;
    uint64_t stamp = 0;
  };

  Slot& slot_of(const TableKey& key) {
    size_t index = hash(key) & (slots_.size() - 1);
    while (slots_[index].stamp == stamp_ && !(slots_[index].key == key)) index = (index + 1) & (slots_.size() - 1);
    return slots_[index];
  }
  static size_t hash(const TableKey& key) {
    const uint64_t low = static_cast<uint32_t>(key.a) | static_cast<uint64_t>(static_cast<uint32_t>(key.b)) << 32;
    const uint64_t high = static_cast<uint32_t>(key.c) | static_cast<uint64_t>(static_cast<uint32_t>(key.d)) << 32;
    uint64_t mixed = (low ^ (low >> 29)) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ high ^ (mixed >> 32)) * 0xbf58476d1ce4e5b9u;
    return static_cast<size_t>(mixed ^ (mixed >> 31));
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.stamp == stamp_) slot_of(slot.key) = slot;
  }

  std::vector<Slot> slots_;
  size_t numUsed_ = 0;
  uint64_t stamp_ = 1;
};

}  // namespace inferd::grammar
