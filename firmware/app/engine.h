// The inference engine behind a small C interface: engine_tflm.cc is TensorFlow Lite Micro, engine_stub.cc needs no
// library.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Plans `model` (16-byte aligned) into `arena` (16-byte aligned). False: engine_error() says why.
bool engine_init(const uint8_t *model, uint8_t *arena, size_t arena_bytes);

// Called by the engine before and after each operator, in the order of the model; see inference.cc.
void operator_begins(void);
void operator_ends(void);

// Runs the model on what stands in engine_input(); inputs are used up. False: engine_error() says why.
bool engine_invoke(void);

int8_t *engine_input(void);
size_t engine_input_bytes(void);
const int8_t *engine_output(void);
size_t engine_output_bytes(void);

size_t engine_arena_used_bytes(void);
size_t engine_operator_count(void);  // operators the model runs, repeated ones counted each time
const char *engine_name(void);
const char *engine_error(void);

#ifdef __cplusplus
}
#endif
