#include "read_config.h"

namespace inferd {
namespace {

int32_t read_int(const Napi::Object& object, const char* name, int32_t fallback = 0) { return static_cast<int32_t>(read_number(object, name, fallback)); }

Napi::Array read_array(const Napi::Object& object, const char* name) { return object.Get(name).As<Napi::Array>(); }

Operand read_operand(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsObject()) return {};
  const Napi::Object operand = value.As<Napi::Object>();
  return {static_cast<int64_t>(read_number(operand, "offset", -1)), static_cast<int64_t>(read_number(operand, "stride", 0))};
}

Instruction read_instruction(const Napi::Object& object) {
  Instruction op;
  op.code = static_cast<OpCode>(read_int(object, "code"));
  op.rows = static_cast<RowKind>(read_int(object, "rows"));
  op.a = read_operand(object, "a");
  op.b = read_operand(object, "b");
  op.out = read_operand(object, "out");
  op.width = read_int(object, "width");
  op.weight = read_int(object, "weight", -1);
  op.bias = read_int(object, "bias", -1);
  op.act = static_cast<int64_t>(read_number(object, "act", -1));
  op.layer = read_int(object, "layer");
  op.numHeads = read_int(object, "numHeads");
  op.headDim = read_int(object, "headDim");
  op.rotaryDim = read_int(object, "rotaryDim");
  op.groupWidth = read_int(object, "groupWidth");
  op.window = read_int(object, "window");
  op.table = read_int(object, "table");
  op.flag = read_int(object, "flag") != 0;
  op.scale = static_cast<float>(read_number(object, "scale", 1));
  op.softcap = static_cast<float>(read_number(object, "softcap", 0));
  op.epsilon = read_number(object, "epsilon", 0);
  return op;
}

Phase read_phase(const Napi::Object& object) {
  Phase phase;
  phase.kind = static_cast<PhaseKind>(read_int(object, "kind"));
  const Napi::Array instructions = read_array(object, "instructions");
  for (uint32_t i = 0; i < instructions.Length(); i++) phase.instructions.push_back(read_instruction(instructions.Get(i).As<Napi::Object>()));
  return phase;
}

RotaryTable read_table(const Napi::Object& object) {
  RotaryTable table;
  const Napi::Float32Array frequencies = object.Get("inverseFrequencies").As<Napi::Float32Array>();
  table.inverseFrequencies.assign(frequencies.Data(), frequencies.Data() + frequencies.ElementLength());
  table.magnitude = read_number(object, "magnitude", 1);
  table.offset = static_cast<int64_t>(read_number(object, "offset", 0));
  return table;
}

}  // namespace

double read_number(const Napi::Object& object, const char* name, double fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : fallback;
}

ExecutorConfig read_config(const Napi::Object& object) {
  ExecutorConfig config;
  config.numThreads = read_int(object, "numThreads", 1);
  config.numLayers = read_int(object, "numLayers");
  config.numKvHeads = read_int(object, "numKvHeads");
  config.headDim = read_int(object, "headDim");
  config.vocabSize = read_int(object, "vocabSize");
  config.hiddenSize = read_int(object, "hiddenSize");
  config.numBlocks = read_int(object, "numBlocks");
  config.blockSize = read_int(object, "blockSize");
  config.kvType = static_cast<KvType>(read_int(object, "kvType"));
  config.maxTokens = read_int(object, "maxTokens");
  config.maxSequences = read_int(object, "maxSequences");
  config.maxOutputs = read_int(object, "maxOutputs");
  config.arenaBytes = static_cast<int64_t>(read_number(object, "arenaBytes", 0));
  const Napi::Array matrices = read_array(object, "matrices");
  for (uint32_t i = 0; i < matrices.Length(); i++) {
    const Napi::Object shape = matrices.Get(i).As<Napi::Object>();
    config.matrices.push_back({static_cast<Format>(read_int(shape, "format")), read_int(shape, "numRows"), read_int(shape, "numColumns")});
  }
  const Napi::Array vectors = read_array(object, "vectorLengths");
  for (uint32_t i = 0; i < vectors.Length(); i++) config.vectorLengths.push_back(vectors.Get(i).As<Napi::Number>().Int32Value());
  const Napi::Array tables = read_array(object, "tables");
  for (uint32_t i = 0; i < tables.Length(); i++) config.tables.push_back(read_table(tables.Get(i).As<Napi::Object>()));
  const Napi::Array phases = read_array(object, "phases");
  for (uint32_t i = 0; i < phases.Length(); i++) config.phases.push_back(read_phase(phases.Get(i).As<Napi::Object>()));
  config.hidden = read_operand(object, "hidden");
  config.logits = read_operand(object, "logits");
  return config;
}

}  // namespace inferd
