// The operators of ../kernels as TensorFlow Lite Micro's custom operators "tinytrain.NAME". model/model_ops.h registers
// those that the model in model_data.cc has; its last input is the operator's block of constants, in flash.
#pragma once

#include "tensorflow/lite/micro/micro_common.h"

namespace kernels {

// Why the library computes other results than these operators, empty if it computes the same.
const char* LibraryFault();

TFLMRegistration Conv();
TFLMRegistration Conv1x1();
TFLMRegistration Depthwise();
TFLMRegistration FullyConnected();
TFLMRegistration Add();
TFLMRegistration AveragePool();

}  // namespace kernels
