// The border to JavaScript: one class. Typed arrays are borrowed, not copied: a reference keeps the batch alive until its
// promise settles. Pool threads never touch JavaScript; one thread-safe function brings them back to the event loop.
#include <napi.h>

#include <atomic>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "dispatch/dispatch.h"
#include "executor/executor.h"
#include "grammar_binding.h"
#include "pack/pack_rows.h"
#include "read_config.h"
#include "read_step.h"

namespace inferd {
namespace {

std::string in_megabytes(double bytes) { return std::to_string(static_cast<long long>(bytes / 1048576)) + " MiB"; }

class NativeExecutor final : public Napi::ObjectWrap<NativeExecutor>, public Completion {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeExecutor",
                       {InstanceMethod<&NativeExecutor::pack_rows_async>("packRows"), InstanceMethod<&NativeExecutor::set_vector>("setVector"),
                        InstanceMethod<&NativeExecutor::run_step>("runStep"), InstanceMethod<&NativeExecutor::open_gate>("openGate"),
                        InstanceMethod<&NativeExecutor::copy_blocks>("copyBlocks"), InstanceMethod<&NativeExecutor::weights>("weights"),
                        InstanceMethod<&NativeExecutor::memory>("memory"), InstanceMethod<&NativeExecutor::close>("close")});
  }

  /** (config, isa, availableBytes, packedPath). Throws a RangeError when memory is too short, a TypeError when the ISA is not there. */
  explicit NativeExecutor(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeExecutor>(info) {
    const std::string isa = info[1].As<Napi::String>().Utf8Value();
    const KernelTable* kernels = find_kernels(isa.c_str());
    if (kernels == nullptr) throw Napi::TypeError::New(info.Env(), "instruction set " + isa + " is not available");
    auto executor = std::make_unique<Executor>(read_config(info[0].As<Napi::Object>()), *kernels);
    // The system would hand out more than it has, and kill us when it is touched.
    const double neededBytes = static_cast<double>(executor->needed_bytes()), availableBytes = info[2].As<Napi::Number>().DoubleValue();
    if (neededBytes > availableBytes || !try_allocate(info.Env(), *executor, info[3].As<Napi::String>().Utf8Value()))
      throw Napi::RangeError::New(info.Env(), "weights, KV cache and activations need " + in_megabytes(neededBytes) + ", the system has " + in_megabytes(availableBytes));
    executor_ = std::move(executor);
    onDone_ = OnDone::New(info.Env(), "inferd step", 0, 1, this);
    onDone_.Unref(info.Env());
  }

  ~NativeExecutor() override { shut(); }

  /** While the process ends the function may be closing: a call then gives up our hold on it. */
  void done() override {
    if (onDone_.NonBlockingCall() == napi_closing) holdsOnDone_.store(false);
  }

 private:
  /** Executor::allocate, its exceptions turned into JavaScript's: a refused thread is an Error with code THREADS_REFUSED. */
  static bool try_allocate(Napi::Env env, Executor& executor, const std::string& packedPath) {
    try {
      return executor.allocate(packedPath.empty() ? nullptr : packedPath.c_str());
    } catch (const std::bad_alloc&) {
      return false;
    } catch (const std::system_error& refusal) {
      const std::string numThreads = std::to_string(executor.config().numThreads);
      Napi::Error error = Napi::Error::New(env, "the system refuses to run " + numThreads + " threads: " + refusal.code().message());
      error.Set("code", Napi::String::New(env, "THREADS_REFUSED"));
      throw error;
    }
  }

  static void call_js(Napi::Env env, Napi::Function, NativeExecutor* self, void*) {
    if (env != nullptr && self != nullptr) self->settle(env);
  }
  using OnDone = Napi::TypedThreadSafeFunction<NativeExecutor, void, &NativeExecutor::call_js>;

  void expect_idle(Napi::Env env) const {
    if (executor_ == nullptr) throw Napi::Error::New(env, "the executor is closed");
    if (deferred_ != nullptr) throw Napi::Error::New(env, "a step is running");
  }

  Napi::Value begin(Napi::Env env) {
    deferred_ = std::make_unique<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
    Ref();
    onDone_.Ref(env);
    return deferred_->Promise();
  }

  void settle(Napi::Env env) {
    const std::unique_ptr<Napi::Promise::Deferred> deferred = std::move(deferred_);
    borrowed_.clear();
    packing_.reset();
    onDone_.Unref(env);
    Unref();
    deferred->Resolve(env.Undefined());
  }

  void borrow(const Napi::Value& value) { borrowed_.push_back(Napi::Persistent(value.As<Napi::Object>())); }

  void expect_unmapped(Napi::Env env) const {
    if (executor_->weights().filled() == nullptr) throw Napi::Error::New(env, "the weights are mapped from a file");
  }

  /** (matrix, rowStart, numRows, bytes) -> Promise. */
  Napi::Value pack_rows_async(const Napi::CallbackInfo& info) {
    expect_idle(info.Env());
    expect_unmapped(info.Env());
    const int32_t index = info[0].As<Napi::Number>().Int32Value();
    const int32_t rowStart = info[1].As<Napi::Number>().Int32Value(), numRows = info[2].As<Napi::Number>().Int32Value();
    const Napi::Uint8Array bytes = info[3].As<Napi::Uint8Array>();
    const PackedMatrix& matrix = executor_->weights().matrix(index);
    const FormatTraits& t = traits_of(matrix.format);
    const size_t rowBytes = static_cast<size_t>(matrix.numColumns / t.blockColumns) * static_cast<size_t>(t.blockBytes);
    if (rowStart < 0 || numRows < 1 || rowStart + numRows > matrix.numRows || bytes.ByteLength() != rowBytes * static_cast<size_t>(numRows))
      throw Napi::Error::New(info.Env(), "rows do not fit the matrix");
    borrow(bytes);
    packing_ = std::make_unique<PackJob>(matrix, rowStart, numRows, bytes.Data(), this);
    const Napi::Value promise = begin(info.Env());
    executor_->start_packing(packing_.get());
    return promise;
  }

  /** (vector, format, start, bytes, offset). */
  void set_vector(const Napi::CallbackInfo& info) {
    expect_idle(info.Env());
    expect_unmapped(info.Env());
    const size_t index = static_cast<size_t>(info[0].As<Napi::Number>().Int32Value());
    const Format format = static_cast<Format>(info[1].As<Napi::Number>().Int32Value());
    const int64_t start = info[2].As<Napi::Number>().Int64Value();
    const Napi::Uint8Array bytes = info[3].As<Napi::Uint8Array>();
    const int64_t count = static_cast<int64_t>(bytes.ByteLength()) / traits_of(format).blockBytes;
    if (is_quantized(format) || start + count > executor_->config().vectorLengths[index]) throw Napi::Error::New(info.Env(), "elements do not fit the vector");
    convert_vector(format, bytes.Data(), count, info[4].As<Napi::Number>().FloatValue(), executor_->weights().vector(static_cast<int32_t>(index)) + start);
  }

  /** (batch, sampling, output) -> Promise. With sampling.fillMasks, openGate() must follow. Throws when an index is out of range. */
  Napi::Value run_step(const Napi::CallbackInfo& info) {
    expect_idle(info.Env());
    const Napi::Object batch = info[0].As<Napi::Object>(), samplingObject = info[1].As<Napi::Object>();
    const StepArrays step = read_step(batch);
    const SamplingColumns sampling = read_sampling(samplingObject);
    if (!has_step_lengths(batch, step) || !has_sampling_lengths(samplingObject, sampling, step.numLogitRows))
      throw Napi::Error::New(info.Env(), "an array of the step is too short");
    const char* fault = executor_->find_fault(step, sampling);
    if (fault != nullptr) throw Napi::Error::New(info.Env(), fault);
    // All that may throw comes before there is a promise: nobody would settle it.
    const bool isGated = samplingObject.Get("fillMasks").IsFunction();
    const StepOutputs outputs = read_outputs(info[2].As<Napi::Object>());
    for (size_t i = 0; i < 3; i++) borrow(info[i]);
    const Napi::Value promise = begin(info.Env());
    executor_->start_step(step, sampling, isGated, outputs, this);
    return promise;
  }

  void open_gate(const Napi::CallbackInfo&) {
    if (executor_ != nullptr) executor_->open_gate();
  }

  void copy_blocks(const Napi::CallbackInfo& info) {
    expect_idle(info.Env());
    const Napi::Int32Array pairs = info[0].As<Napi::Int32Array>();
    for (size_t i = 0; i < pairs.ElementLength(); i++)
      if (pairs[i] < 0 || pairs[i] >= executor_->config().numBlocks) throw Napi::Error::New(info.Env(), "a block id is outside the cache");
    executor_->copy_blocks(pairs.Data(), static_cast<int32_t>(pairs.ElementLength() / 2));
  }

  /** The filled weights as bytes that live as long as somebody holds them; null when they are mapped from a file. */
  Napi::Value weights(const Napi::CallbackInfo& info) {
    if (executor_ == nullptr) throw Napi::Error::New(info.Env(), "the executor is closed");
    if (executor_->weights().filled() == nullptr) return info.Env().Null();
    auto* holder = new std::shared_ptr<HugeBuffer>(executor_->weights().filled());
    const size_t bytes = (*holder)->bytes();
    const auto release = [](Napi::Env, void*, std::shared_ptr<HugeBuffer>* held) { delete held; };
    return Napi::Uint8Array::New(info.Env(), bytes, Napi::ArrayBuffer::New(info.Env(), (*holder)->data(), bytes, release, holder), 0);
  }

  Napi::Value memory(const Napi::CallbackInfo& info) {
    expect_idle(info.Env());
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("isa", executor_->kernels().name);
    object.Set("weightsBytes", static_cast<double>(executor_->weights().bytes()));
    object.Set("kvCacheBytes", static_cast<double>(executor_->kv_cache_bytes()));
    object.Set("activationBytes", static_cast<double>(executor_->activation_bytes()));
    return object;
  }

  /** The caller has awaited the running step. */
  void close(const Napi::CallbackInfo& info) {
    if (executor_ != nullptr) expect_idle(info.Env());
    shut();
  }

  void shut() {
    if (executor_ == nullptr) return;
    executor_.reset();
    if (holdsOnDone_.load()) onDone_.Release();
  }

  std::unique_ptr<Executor> executor_;
  std::unique_ptr<PackJob> packing_;
  std::unique_ptr<Napi::Promise::Deferred> deferred_;
  std::vector<Napi::ObjectReference> borrowed_;
  OnDone onDone_;
  /** Written by the pool thread that ends a step, which the event loop does not wait for. */
  std::atomic<bool> holdsOnDone_{true};
};

Napi::Value is_available(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), find_kernels(info[0].As<Napi::String>().Utf8Value().c_str()) != nullptr);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeExecutor", NativeExecutor::define(env));
  exports.Set("isAvailable", Napi::Function::New(env, is_available));
  define_grammar(env, exports);
  return exports;
}

}  // namespace
}  // namespace inferd

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return inferd::init(env, exports); }
NODE_API_MODULE(inferd_kernels, init_addon)
