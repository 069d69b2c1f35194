// The network on TensorFlow Lite Micro, which has to be linked: its resolver and its interpreter, then the arena of its
// tensors.

#include <cstdint>
#include <cstring>
#include <new>

#include "model/model_data.h"
#include "model/model_ops.h"
#include "model/sizes.h"
#include "network.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tinytrain.h"

namespace {

struct State {
  uint32_t taken;  // values of the input so far
  alignas(8) uint8_t resolver[sizeof(ModelOpResolver)];
  alignas(8) uint8_t interpreter[sizeof(tflite::MicroInterpreter)];
};
static_assert(sizeof(State) <= NETWORK_STATE_BYTES, "the export has left room for the state");

tflite::MicroInterpreter* InterpreterOf(void* memory) {
  return reinterpret_cast<tflite::MicroInterpreter*>(static_cast<State*>(memory)->interpreter);
}

bool IsInt8(const TfLiteTensor* tensor, size_t bytes) {
  return tensor != nullptr && tensor->type == kTfLiteInt8 && tensor->bytes == bytes;
}

}  // namespace

extern "C" {

bool tinytrain_network_init(void* memory) {
  State* state = static_cast<State*>(memory);
  state->taken = 0;
  const tflite::Model* model = tflite::GetModel(kModel);
  auto* resolver = new (state->resolver) ModelOpResolver;
  if (LibraryFault()[0] != '\0' || AddModelOperators(resolver) != kTfLiteOk) return false;
  uint8_t* tensors = static_cast<uint8_t*>(memory) + NETWORK_STATE_BYTES;
  auto* interpreter = new (state->interpreter)
      tflite::MicroInterpreter(model, *resolver, tensors, NETWORK_BYTES - NETWORK_STATE_BYTES);
  if (interpreter->AllocateTensors() != kTfLiteOk || interpreter->outputs_size() != kOutputCount) return false;
  for (uint32_t i = 0; i < kOutputCount; ++i) {
    if (!IsInt8(interpreter->output(i), kOutputs[i].bytes)) return false;
  }
  return IsInt8(interpreter->input(0), kInputBytes);
}

bool tinytrain_network_take(void* memory, uint32_t first, const int8_t* values, uint32_t count) {
  State* state = static_cast<State*>(memory);
  if (first == 0) state->taken = 0;
  if (first != state->taken || count > kInputBytes - first) return false;
  std::memcpy(InterpreterOf(memory)->input(0)->data.int8 + first, values, count);
  state->taken += count;
  return true;
}

NetworkRun tinytrain_network_invoke(void* memory) {
  State* state = static_cast<State*>(memory);
  if (state->taken != kInputBytes) return NETWORK_WITHOUT_INPUT;
  state->taken = 0;
  return InterpreterOf(memory)->Invoke() == kTfLiteOk ? NETWORK_RAN : NETWORK_FAILED;
}

const int8_t* tinytrain_network_output(const void* memory, uint32_t index) {
  return InterpreterOf(const_cast<void*>(memory))->output(index)->data.int8;
}

}  // extern "C"
