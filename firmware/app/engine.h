// The inference engine behind a small C interface, for models with one int8 input and any number of int8 outputs:
// engine_tflm.cc is TensorFlow Lite Micro, engine_compiled.cc the network as C, engine_stub.cc no network at all. Each
// takes its model from ../model.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// An output: real = scale * (int8 - zero_point).
typedef struct {
    const int8_t *data;
    size_t bytes;
    const int *shape;  // `rank` dimensions, the batch first
    size_t rank;
    float scale;
    int32_t zero_point;
} EngineOutput;

// Plans the model into `arena` (16-byte aligned). False: engine_error() says why.
bool engine_init(uint8_t *arena, size_t arena_bytes);

// Called by the engine before and after each operator, in the order of the model; see inference.cc.
void operator_begins(void);
void operator_ends(void);

// Runs the model on what stands in engine_input(); inputs are used up. False: engine_error() says why.
bool engine_invoke(void);

int8_t *engine_input(void);
size_t engine_input_bytes(void);
size_t engine_output_count(void);
EngineOutput engine_output(size_t index);  // in the order of the model; its data holds until the next engine_invoke()

size_t engine_arena_used_bytes(void);
size_t engine_operator_count(void);  // calls of operator_begins() in an inference
const char *engine_name(void);
const char *engine_error(void);

#ifdef __cplusplus
}
#endif
