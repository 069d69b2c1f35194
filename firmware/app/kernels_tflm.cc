#include "kernels_tflm.h"

#include <cstdint>

#include "kernels/kernels.h"
#include "tensorflow/lite/kernels/internal/common.h"
#include "tensorflow/lite/kernels/kernel_util.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"

namespace {

using tflite::micro::GetEvalInput;
using tflite::micro::GetEvalOutput;
using tflite::micro::GetTensorData;

// The last input is the operator's block of constants; each begins with the bytes of scratch memory that it needs.
const void* Block(TfLiteContext* context, const TfLiteNode* node) {
  return GetEvalInput(context, node, node->inputs->size - 1)->data.raw;
}

// Nothing of an operator lies in the arena: user_data is TFLM's number of its scratch memory, counted from 1, or 0.
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const void* block = Block(context, node);
  TF_LITE_ENSURE(context, block != nullptr && reinterpret_cast<uintptr_t>(block) % 4 == 0);
  const size_t bytes = *static_cast<const uint32_t*>(block);
  int scratch = -1;
  if (bytes != 0) TF_LITE_ENSURE_STATUS(context->RequestScratchBufferInArena(context, bytes, &scratch));
  node->user_data = reinterpret_cast<void*>(static_cast<intptr_t>(scratch + 1));
  return kTfLiteOk;
}

void* Scratch(TfLiteContext* context, const TfLiteNode* node) {
  const int number = static_cast<int>(reinterpret_cast<intptr_t>(node->user_data));
  return number == 0 ? nullptr : context->GetScratchBuffer(context, number - 1);
}

template <typename BlockOf, void (*kKernel)(const BlockOf*, const int8_t*, int8_t*, void*)>
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  const int8_t* input = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  int8_t* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  kKernel(static_cast<const BlockOf*>(Block(context, node)), input, output, Scratch(context, node));
  return kTfLiteOk;
}

template <typename BlockOf, void (*kKernel)(const BlockOf*, const int8_t*, int8_t*, void*)>
TFLMRegistration Register() {
  return tflite::micro::RegisterOp(nullptr, Prepare, Invoke<BlockOf, kKernel>);
}

TfLiteStatus InvokeAdd(TfLiteContext* context, TfLiteNode* node) {
  const int8_t* first = GetTensorData<int8_t>(GetEvalInput(context, node, 0));
  const int8_t* second = GetTensorData<int8_t>(GetEvalInput(context, node, 1));
  int8_t* output = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  kernel_add(static_cast<const KernelAdd*>(Block(context, node)), first, second, output);
  return kTfLiteOk;
}

void RunPool(const KernelPool* pool, const int8_t* input, int8_t* output, void*) {
  kernel_average_pool(pool, input, output);
}

}  // namespace

namespace kernels {

// A quarter of 1: rounded twice it is 1, rounded once 0. The function is never inlined, so the library answers.
const char* LibraryFault() {
  const bool rounds_twice = tflite::MultiplyByQuantizedMultiplier(int32_t{1}, 1 << 30, -1) == 1;
  return rounds_twice ? "" : "the library was built with TFLITE_SINGLE_ROUNDING: build it without, or export with "
                             "export.kernels=tflm";
}

TFLMRegistration Conv() { return Register<KernelConv, kernel_conv>(); }
TFLMRegistration Conv1x1() { return Register<KernelConv, kernel_conv_1x1>(); }
TFLMRegistration Depthwise() { return Register<KernelDepthwise, kernel_depthwise>(); }
TFLMRegistration FullyConnected() { return Register<KernelConv, kernel_fully_connected>(); }
TFLMRegistration Add() { return tflite::micro::RegisterOp(nullptr, Prepare, InvokeAdd); }
TFLMRegistration AveragePool() { return Register<KernelPool, RunPool>(); }

}  // namespace kernels
