#include "graph.h"

#include <string.h>

#include "engine.h"

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Goes on to the end, or until rows of the input are to be waited for. Returns how many, counted from the first, 0 at the end.
static uint32_t run_on(const KernelFused* fused, KernelProgress* how_far, int8_t* arena) {
  int32_t rows = 0;
  while (rows == 0 && how_far->next[1] != 0) {
    rows = kernel_fused_next(fused, how_far, arena);
    operator_goes_on();
  }
  return (uint32_t)rows;
}

void graph_fused(const KernelFused* fused, int8_t* arena) {
  KernelProgress how_far = {fused->schedule, {0}};
  run_on(fused, &how_far, arena);
}

// Runs the first step as far as the rows go that are there.
static void go_on(GraphState* state, int8_t* arena) {
  operator_begins();
  const uint32_t rows = run_on(graph_input.first, &state->progress, arena);
  if (rows > 0) {
    state->wanted = rows * graph_input.row_bytes;
    operator_pauses();
  } else {
    operator_ends();
  }
}

static void begin(GraphState* state, int8_t* arena) {
  state->taken = 0;
  state->wanted = graph_input.bytes;
  if (!graph_input.first) return;
  state->progress = (KernelProgress){graph_input.first->schedule, {0}};
  state->wanted = run_on(graph_input.first, &state->progress, arena) * graph_input.row_bytes;  // waits at once
}

bool graph_take(GraphState* state, int8_t* arena, uint32_t first, const int8_t* values, uint32_t count) {
  if (first == 0) begin(state, arena);
  if (first != state->taken || count > graph_input.bytes - state->taken) return false;
  while (count > 0) {
    const uint32_t place = state->taken % graph_input.ring_bytes;
    const uint32_t piece = least(count, least(state->wanted - state->taken, graph_input.ring_bytes - place));
    memcpy(arena + graph_input.offset + place, values, piece);
    state->taken += piece;
    values += piece;
    count -= piece;
    if (graph_input.first && state->taken == state->wanted) go_on(state, arena);
  }
  return true;
}

bool graph_invoke(GraphState* state, int8_t* arena) {
  if (state->taken != graph_input.bytes) return false;
  state->taken = 0;
  graph_run(arena);
  return true;
}
