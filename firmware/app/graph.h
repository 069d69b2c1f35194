// The network as calls of ../kernels: model/model_graph.c, which tinytrain/deploy/compiled writes; and its input, which
// graph.c takes from whoever has it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// The input: `first` is the step that reads it by rows, of which the last ones lie in a ring, or 0 where all of it must be
// there before any step runs. Then its row and its ring are the whole input.
typedef struct {
  const KernelFused* first;
  uint32_t offset;  // in the arena
  uint32_t bytes, row_bytes, ring_bytes;
} GraphInput;

// How far the input and the step that reads it have come. It begins as zeros, and whoever runs the network keeps it.
typedef struct {
  uint32_t taken;   // bytes of the input so far
  uint32_t wanted;  // how many there must be before the first step can go on
  KernelProgress progress;
} GraphState;

extern const uint32_t graph_arena_bytes, graph_step_count;
extern const GraphInput graph_input;
extern const uint32_t graph_outputs[];  // their offsets, in the order of the model

// Runs the steps that need no more input, with operator_begins() and operator_ends() of engine.h around each.
void graph_run(int8_t* arena);

// Runs a step of fused operators.
void graph_fused(const KernelFused* fused, int8_t* arena);

// These are engine_input() and engine_invoke() of engine.h.
bool graph_take(GraphState* state, int8_t* arena, uint32_t first, const int8_t* values, uint32_t count);
bool graph_invoke(GraphState* state, int8_t* arena);

#ifdef __cplusplus
}
#endif
