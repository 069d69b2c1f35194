// What TFLM lacks a fast kernel for: its HARD_SWISH takes 86 instructions an element, LOGISTIC 449, ADD 80, MUL with a
// factor for each channel 54; AVERAGE_POOL_2D asks for a scratch buffer. See benchmarks/cost.py.

#include "operators_tflm.h"

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"
#include "model/model_data.h"
#include "tensorflow/lite/c/builtin_op_data.h"
#include "tensorflow/lite/kernels/kernel_util.h"
#include "tensorflow/lite/micro/kernels/add.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/kernels/mul.h"
#include "tensorflow/lite/micro/micro_utils.h"

namespace {

using tflite::micro::GetEvalInput;
using tflite::micro::GetEvalOutput;
using tflite::micro::GetTensorData;

int Count(const TfLiteEvalTensor* tensor) { return tflite::ElementCount(*tensor->dims); }

// The last dimension; a scalar has no channels.
int Channels(const TfLiteEvalTensor* tensor) {
  return tensor->dims->size > 0 ? tensor->dims->data[tensor->dims->size - 1] : 0;
}

bool IsInt8(const TfLiteEvalTensor* tensor) { return tensor->type == kTfLiteInt8; }

bool IsSameShape(const TfLiteEvalTensor* first, const TfLiteEvalTensor* second) {
  return first->dims->size == second->dims->size &&
         std::equal(first->dims->data, first->dims->data + first->dims->size, second->dims->data);
}

// (…, 1, C): a value for each channel of `other`, which has the same number of channels.
bool IsChannelVectorOf(const TfLiteEvalTensor* tensor, const TfLiteEvalTensor* other) {
  return Channels(tensor) > 0 && Count(tensor) == Channels(tensor) && Channels(tensor) == Channels(other);
}

// x·multiplier·2^(shift - 31), rounded twice, halves up and then away from 0, as TFLM's default and CMSIS-NN do.
// TFLM's own function is never inlined; no product that is scaled here comes near its saturation.
class Scale {
 public:
  Scale(int32_t multiplier, int shift)
      : multiplier_(multiplier),
        left_(std::max(shift, 0)),
        right_(std::max(-shift, 0)),
        half_(right_ ? 1 << (right_ - 1) : 0),
        sign_(right_ ? -1 : 0) {}

  int32_t operator()(int32_t x) const {
    const int64_t product = int64_t{x * (1 << left_)} * multiplier_ + (int64_t{1} << 30);
    const auto high = static_cast<int32_t>(product >> 31);
    return (high + half_ + ((high >> 31) & sign_)) >> right_;
  }

 private:
  int32_t multiplier_;
  int left_, right_;
  int32_t half_, sign_;
};

uint32_t tables_taken = 0;

// A library without error strings makes nothing of the context in TF_LITE_ENSURE.
TfLiteStatus PrepareLookup([[maybe_unused]] TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  TF_LITE_ENSURE(context, IsInt8(input) && IsInt8(output) && IsSameShape(input, output));
  TF_LITE_ENSURE(context, tables_taken < kTableCount);
  node->user_data = const_cast<int8_t*>(kTables + 256 * tables_taken++);
  return kTfLiteOk;
}

TfLiteStatus InvokeLookup(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  int8_t* to = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  const auto* table = static_cast<const int8_t*>(node->user_data);
  kernel_look_up(table, GetTensorData<int8_t>(input), to, static_cast<uint32_t>(Count(input)));
  return kTfLiteOk;
}

void* InitAdd(TfLiteContext* context, const char*, size_t) {
  return context->AllocatePersistentBuffer(context, sizeof(tflite::OpDataAdd));
}

TfLiteStatus PrepareAdd(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* first = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* second = GetEvalInput(context, node, 1);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  TF_LITE_ENSURE(context, IsInt8(first) && IsInt8(second) && IsInt8(output));
  TF_LITE_ENSURE(context, IsSameShape(first, second) && IsSameShape(first, output));
  return tflite::AddPrepare(context, node);
}

TfLiteStatus InvokeAdd(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const tflite::OpDataAdd*>(node->user_data);
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const int8_t* first = GetTensorData<int8_t>(input);
  const int8_t* second = GetTensorData<int8_t>(GetEvalInput(context, node, 1));
  int8_t* to = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  const Scale first_scale(data.input1_multiplier, data.input1_shift);
  const Scale second_scale(data.input2_multiplier, data.input2_shift);
  const Scale scale(data.output_multiplier, data.output_shift);
  const int32_t first_offset = data.input1_offset, second_offset = data.input2_offset, factor = 1 << data.left_shift;
  const int32_t zero = data.output_offset, low = data.output_activation_min, high = data.output_activation_max;
  const int count = Count(input);
  for (int i = 0; i < count; ++i) {
    const int32_t sum =
        first_scale((first[i] + first_offset) * factor) + second_scale((second[i] + second_offset) * factor);
    to[i] = static_cast<int8_t>(std::min(std::max(scale(sum) + zero, low), high));
  }
  return kTfLiteOk;
}

TfLiteStatus PrepareMul(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* first = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* second = GetEvalInput(context, node, 1);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  TF_LITE_ENSURE(context, IsInt8(first) && IsInt8(second) && IsInt8(output));
  const bool second_is_smaller = Count(second) <= Count(first);
  const TfLiteEvalTensor* larger = second_is_smaller ? first : second;
  const TfLiteEvalTensor* smaller = second_is_smaller ? second : first;
  TF_LITE_ENSURE(context, IsSameShape(larger, output));
  TF_LITE_ENSURE(context, IsSameShape(first, second) || IsChannelVectorOf(smaller, larger));
  return tflite::MulPrepare(context, node);
}

TfLiteStatus InvokeMul(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const tflite::OpDataMul*>(node->user_data);
  const TfLiteEvalTensor* first = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* second = GetEvalInput(context, node, 1);
  const auto factors = static_cast<uint32_t>(std::min(Count(first), Count(second)));
  const auto rows = static_cast<uint32_t>(std::max(Count(first), Count(second))) / factors;
  KernelMultiply multiply = {};
  multiply.shape = {{1, 1, rows, factors}, {0, 0, factors, 1}, {0, 0, factors, 1}};
  if (Count(first) < Count(second)) multiply.shape.first[2] = 0;
  if (Count(second) < Count(first)) multiply.shape.second[2] = 0;
  multiply.multiplier = static_cast<int32_t>(2 * static_cast<uint32_t>(data.output_multiplier));  // less 2^32
  multiply.shifts = static_cast<uint32_t>(std::max(-data.output_shift, 0) | std::max(data.output_shift, 0) << 16);
  multiply.first_zero = static_cast<int8_t>(data.input1_zero_point);
  multiply.second_zero = static_cast<int8_t>(data.input2_zero_point);
  multiply.output_zero = static_cast<int8_t>(data.output_zero_point);
  multiply.low = static_cast<int8_t>(data.output_activation_min);
  multiply.high = static_cast<int8_t>(data.output_activation_max);
  const bool is_unbounded = multiply.low == -128 && multiply.high == 127 && data.output_shift < 0;
  multiply.requantize = is_unbounded ? KERNEL_ROUND : KERNEL_CLAMP;
  kernel_multiply(&multiply, GetTensorData<int8_t>(first), GetTensorData<int8_t>(second),
                  GetTensorData<int8_t>(GetEvalOutput(context, node, 0)));
  return kTfLiteOk;
}

TfLiteStatus PrepareAverage(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const TfLiteEvalTensor* output = GetEvalOutput(context, node, 0);
  const auto* options = static_cast<const TfLitePoolParams*>(node->builtin_data);
  TF_LITE_ENSURE(context, IsInt8(input) && IsInt8(output) && input->dims->size == 4 && input->dims->data[0] == 1);
  TF_LITE_ENSURE(context, options != nullptr && options->activation == kTfLiteActNone);
  TF_LITE_ENSURE_EQ(context, options->filter_height, input->dims->data[1]);
  TF_LITE_ENSURE_EQ(context, options->filter_width, input->dims->data[2]);
  TF_LITE_ENSURE_EQ(context, Count(output), Channels(input));
  return kTfLiteOk;
}

TfLiteStatus InvokeAverage(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const int8_t* from = GetTensorData<int8_t>(input);
  int8_t* to = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  const int channels = Channels(input), count = Count(input), pixels = count / channels;
  for (int channel = 0; channel < channels; ++channel) {
    int32_t sum = 0;
    for (int i = channel; i < count; i += channels) sum += from[i];
    to[channel] = static_cast<int8_t>((sum + (sum > 0 ? pixels / 2 : -(pixels / 2))) / pixels);  // halves away from 0
  }
  return kTfLiteOk;
}

}  // namespace

namespace operators {

TFLMRegistration Lookup() { return tflite::micro::RegisterOp(nullptr, PrepareLookup, InvokeLookup); }
TFLMRegistration AddSameShape() { return tflite::micro::RegisterOp(InitAdd, PrepareAdd, InvokeAdd); }
TFLMRegistration MulByChannel() { return tflite::micro::RegisterOp(tflite::MulInit, PrepareMul, InvokeMul); }
TFLMRegistration GlobalAveragePool() { return tflite::micro::RegisterOp(nullptr, PrepareAverage, InvokeAverage); }

}  // namespace operators
