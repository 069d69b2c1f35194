// What model/model.c, which `tinytrain export` writes, says of the model besides its network. Its sizes are macros of
// model/sizes.h.
#pragma once

#include <stdint.h>

#include "frame.h"
#include "model/sizes.h"
#include "tinytrain.h"

#if TINYTRAIN_DETECTS
#include "app/detect.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t count;
    float scale;
    int32_t zero_point;
} ModelOutput;

extern const ModelOutput tinytrain_model_outputs[TINYTRAIN_OUTPUTS];
extern const char *const tinytrain_model_labels[MODEL_LABELS + 1];
extern const FrameInput tinytrain_model_input;

#if TINYTRAIN_DETECTS
// Decodes the outputs into `boxes`, which has room for MODEL_CANDIDATES; returns how many there are.
int tinytrain_model_boxes(const int8_t *const *outputs, Box *boxes);
#else
// What a value of the first output is worth, times 32768: by its distance from the largest one, a power of e, or where the
// network ends in a softmax or a sigmoid, by the value + 128, its probability.
extern const uint16_t tinytrain_model_worth[256];
#endif

// In model/golden.c.
extern const int8_t tinytrain_model_golden_input[TINYTRAIN_INPUT_BYTES];
extern const int8_t tinytrain_model_golden_outputs[];  // one after the other

#ifdef __cplusplus
}
#endif
