// TensorFlow Lite Micro behind engine.h: the only file that sees its headers.

#include <array>
#include <cstdint>
#include <new>
#include <utility>

#include "board.h"
#include "console.h"
#include "engine.h"
#include "model/model_data.h"
#include "model/model_ops.h"
#include "tensorflow/lite/micro/cortex_m_generic/debug_log_callback.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#include "tensorflow/lite/micro/micro_time.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "whole_input.h"

// Replaces the library's clock (it would reset the DWT counter that the timing here uses, and does not know its rate).
namespace tflite {
uint32_t GetCurrentTimeTicks() { return board_ticks(); }
uint32_t ticks_per_second() { return BOARD_CLOCK_HZ; }
}  // namespace tflite

namespace {

const tflite::Model* model = nullptr;
tflite::MicroInterpreter* interpreter = nullptr;
const char* error = "";
WholeInput whole_input;

// Hands out the model's registrations with operator_begins() and operator_ends() around their invoke. TFLM's own profiler
// would do for the time, but a library built without error strings never calls it.
class ObservedResolver : public tflite::MicroOpResolver {
 public:
  TfLiteStatus AddOperators() { return AddModelOperators(&resolver_); }
  const TFLMRegistration* FindOp(tflite::BuiltinOperator op) const override { return Observed(resolver_.FindOp(op)); }
  const TFLMRegistration* FindOp(const char* name) const override { return Observed(resolver_.FindOp(name)); }
  tflite::TfLiteBridgeBuiltinParseFunction GetOpDataParser(tflite::BuiltinOperator op) const override {
    return resolver_.GetOpDataParser(op);
  }

 private:
  using Invoke = TfLiteStatus (*)(TfLiteContext*, TfLiteNode*);

  // An invoke is told nothing of its registration, so each kind of operator has its own.
  template <size_t kKind>
  static TfLiteStatus InvokeObserved(TfLiteContext* context, TfLiteNode* node) {
    operator_begins();
    const TfLiteStatus status = originals_[kKind]->invoke(context, node);
    operator_ends();
    return status;
  }

  template <size_t... kKinds>
  static constexpr std::array<Invoke, sizeof...(kKinds)> Invokes(std::index_sequence<kKinds...>) {
    return {InvokeObserved<kKinds>...};
  }

  static const TFLMRegistration* Observed(const TFLMRegistration* original) {
    static constexpr auto kInvokes = Invokes(std::make_index_sequence<kOperatorKinds>());
    for (size_t kind = 0; original != nullptr && kind < kOperatorKinds; ++kind) {
      if (originals_[kind] == nullptr) {
        originals_[kind] = original;
        observed_[kind] = *original;
        observed_[kind].invoke = kInvokes[kind];
      }
      if (originals_[kind] == original) return &observed_[kind];
    }
    return original;
  }

  static inline const TFLMRegistration* originals_[kOperatorKinds];
  static inline TFLMRegistration observed_[kOperatorKinds];
  ModelOpResolver resolver_;
};

// Built in place: as static objects their constructors would run before the log callback is registered.
alignas(ObservedResolver) uint8_t resolver_storage[sizeof(ObservedResolver)];
alignas(tflite::MicroInterpreter) uint8_t interpreter_storage[sizeof(tflite::MicroInterpreter)];

bool Fail(const char* reason) {
  error = reason;
  return false;
}

bool IsInt8(const TfLiteTensor* tensor) { return tensor != nullptr && tensor->type == kTfLiteInt8; }

bool OutputsAreInt8() {
  for (size_t i = 0; i < interpreter->outputs_size(); ++i) {
    if (!IsInt8(interpreter->output(i))) return false;
  }
  return true;
}

}  // namespace

extern "C" {

bool engine_init(uint8_t* arena, size_t arena_bytes) {
  RegisterDebugLogCallback(print);  // before all else: without it every error is silent
  model = tflite::GetModel(kModel);
  if (model->version() != TFLITE_SCHEMA_VERSION) return Fail("the model has another schema version than 3");
  if (const char* fault = LibraryFault(); fault[0] != '\0') return Fail(fault);
  auto* resolver = new (resolver_storage) ObservedResolver;
  if (resolver->AddOperators() != kTfLiteOk) return Fail("an operator was not registered");
  interpreter = new (interpreter_storage) tflite::MicroInterpreter(model, *resolver, arena, arena_bytes);
  if (interpreter->initialization_status() != kTfLiteOk) return Fail("the interpreter did not start");
  if (interpreter->AllocateTensors() != kTfLiteOk) return Fail("the arena is too small or an operator refused");
  if (!IsInt8(interpreter->input(0)) || !OutputsAreInt8()) return Fail("input or output is not int8");
  return true;
}

bool engine_input(size_t first, const int8_t* values, size_t count) {
  return whole_input.Take(interpreter->input(0)->data.int8, engine_input_bytes(), first, values, count);
}

bool engine_invoke(void) {
  if (!whole_input.Use(engine_input_bytes())) return Fail("the input is not complete");
  return interpreter->Invoke() == kTfLiteOk || Fail("Invoke");
}

size_t engine_input_bytes(void) { return interpreter->input(0)->bytes; }
size_t engine_output_count(void) { return interpreter->outputs_size(); }
EngineOutput engine_output(size_t index) {
  const TfLiteTensor* tensor = interpreter->output(index);
  const TfLiteIntArray* shape = tensor->dims;
  return {tensor->data.int8, tensor->bytes, shape->data, static_cast<size_t>(shape->size), tensor->params.scale,
          tensor->params.zero_point};
}
size_t engine_arena_used_bytes(void) { return interpreter->arena_used_bytes(); }
size_t engine_operator_count(void) { return model->subgraphs()->Get(0)->operators()->size(); }
const char* engine_name(void) { return "tflm"; }
const char* engine_error(void) { return error; }

}  // extern "C"
