// Operators that this firmware computes itself, bit for bit as TFLM does, in fewer instructions and less RAM.
// model/model_ops.h registers one in TFLM's place where all uses in the model meet its conditions.
#pragma once

#include "tensorflow/lite/micro/micro_common.h"

namespace operators {

// HARD_SWISH, LOGISTIC, TANH from int8 to int8: one of kTables of model/model_data.h each, in the order of the model.
TFLMRegistration Lookup();

// ADD of two int8 tensors of one shape.
TFLMRegistration AddSameShape();

// MUL of int8: two tensors of one shape, or one by a vector with a factor for each channel.
TFLMRegistration MulByChannel();

// AVERAGE_POOL_2D of int8 over the whole map, without an activation.
TFLMRegistration GlobalAveragePool();

}  // namespace operators
