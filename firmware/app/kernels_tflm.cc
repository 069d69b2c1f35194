#include "kernels_tflm.h"

#include <cstdint>

#include "kernels/kernels.h"
#include "tensorflow/lite/kernels/kernel_util.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"

namespace {

using tflite::micro::GetEvalInput;
using tflite::micro::GetEvalOutput;
using tflite::micro::GetTensorData;

// Of each operator in the arena.
struct State {
  const void* block;
  int scratch;  // TFLM's number of it
};

void* Init(TfLiteContext* context, const char*, size_t) {
  return context->AllocatePersistentBuffer(context, sizeof(State));
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* state = static_cast<State*>(node->user_data);
  state->block = GetEvalInput(context, node, node->inputs->size - 1)->data.raw;
  TF_LITE_ENSURE(context, state->block != nullptr && reinterpret_cast<uintptr_t>(state->block) % 4 == 0);
  const size_t bytes = *static_cast<const uint32_t*>(state->block);  // each begins with it
  state->scratch = -1;
  return bytes == 0 ? kTfLiteOk : context->RequestScratchBufferInArena(context, bytes, &state->scratch);
}

void* Scratch(TfLiteContext* context, const State* state) {
  return state->scratch < 0 ? nullptr : context->GetScratchBuffer(context, state->scratch);
}

template <typename Block, void (*kKernel)(const Block*, const int8_t*, int8_t*, void*)>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const auto* state = static_cast<const State*>(node->user_data);
  const int8_t* input = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  int8_t* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  kKernel(static_cast<const Block*>(state->block), input, output, Scratch(context, state));
  return kTfLiteOk;
}

template <typename Block, void (*kKernel)(const Block*, const int8_t*, int8_t*, void*)>
TFLMRegistration Register() {
  return tflite::micro::RegisterOp(Init, Prepare, Invoke<Block, kKernel>);
}

TfLiteStatus InvokeAdd(TfLiteContext* context, TfLiteNode* node) {
  const auto* state = static_cast<const State*>(node->user_data);
  const int8_t* first = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  const int8_t* second = GetTensorData<int8_t>(GetEvalInput(context, node, 1));
  int8_t* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  kernel_add(static_cast<const KernelAdd*>(state->block), first, second, output);
  return kTfLiteOk;
}

void RunPool(const KernelPool* pool, const int8_t* input, int8_t* output, void*) {
  kernel_average_pool(pool, input, output);
}

}  // namespace

namespace kernels {

TFLMRegistration Conv() { return Register<KernelConv, kernel_conv>(); }
TFLMRegistration Conv1x1() { return Register<KernelConv, kernel_conv_1x1>(); }
TFLMRegistration Depthwise() { return Register<KernelDepthwise, kernel_depthwise>(); }
TFLMRegistration FullyConnected() { return Register<KernelConv, kernel_fully_connected>(); }
TFLMRegistration Add() { return tflite::micro::RegisterOp(Init, Prepare, InvokeAdd); }
TFLMRegistration AveragePool() { return Register<KernelPool, RunPool>(); }

}  // namespace kernels
