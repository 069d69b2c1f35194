// Operators that this firmware computes itself, bit for bit as TFLM does, in fewer instructions and less RAM.
// model/model_ops.h registers one in TFLM's place where all uses in the model meet its conditions; an operator that is
// given something else refuses when the model is planned.
#pragma once

#include "tensorflow/lite/micro/micro_common.h"

namespace operators {

// HARD_SWISH, LOGISTIC, TANH from int8 to int8 of one shape: one of kTables of model/model_data.h each, in the order of the model.
TFLMRegistration Lookup();

// ADD of two int8 tensors of one shape; (1,H,1,C) and (1,1,H,C) have as many elements and are two.
TFLMRegistration AddSameShape();

// MUL of int8: two tensors of one shape, or one by a vector (…, 1, C) with a factor for each channel.
TFLMRegistration MulByChannel();

// AVERAGE_POOL_2D of int8 over the whole map, without an activation.
TFLMRegistration GlobalAveragePool();

}  // namespace operators
