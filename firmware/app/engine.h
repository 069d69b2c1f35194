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

// Called by the engine before and after each operator, in the order of the model; see inference.cc. One that waits for
// more of the input pauses, and begins again; one that takes long says now and then that it goes on.
void operator_begins(void);
void operator_goes_on(void);
void operator_pauses(void);
void operator_ends(void);

// Takes the next `count` values of the input, which begin at its byte `first`; byte 0 begins a new input. How many come at
// a time is free. An engine that needs the input by rows computes at once what they allow. False: they are not the next.
bool engine_input(size_t first, const int8_t *values, size_t count);
size_t engine_input_bytes(void);

// Runs the rest of the model, which uses the input up. False: engine_error() says why.
bool engine_invoke(void);

size_t engine_output_count(void);
EngineOutput engine_output(size_t index);  // in the order of the model; its data holds until the next engine_input()

size_t engine_arena_used_bytes(void);
size_t engine_operator_count(void);  // calls of operator_ends() in an inference
const char *engine_name(void);
const char *engine_error(void);

#ifdef __cplusplus
}
#endif
