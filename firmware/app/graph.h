// The network as calls of ../kernels: model/model_graph.c, which tinytrain/deploy/compiled writes.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const uint32_t graph_arena_bytes, graph_step_count;
extern const uint32_t graph_input;      // its offset in the arena
extern const uint32_t graph_outputs[];  // theirs, in the order of the model

// Runs all steps, with operator_begins() and operator_ends() of engine.h around each; the input is used up.
void graph_run(int8_t* arena);

#ifdef __cplusplus
}
#endif
