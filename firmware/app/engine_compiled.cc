// The network as C behind engine.h: nothing is interpreted, allocated or computed before the first inference.

#include <cstdint>

#include "engine.h"
#include "graph.h"
#include "model/model_data.h"

namespace {

int8_t* memory = nullptr;
GraphState state;
const char* error = "";

}  // namespace

extern "C" {

bool engine_init(uint8_t* arena, size_t arena_bytes) {
  memory = reinterpret_cast<int8_t*>(arena);
  if (graph_arena_bytes > arena_bytes) error = "the arena is too small";
  return graph_arena_bytes <= arena_bytes;
}

bool engine_input(size_t first, const int8_t* values, size_t count) { return graph_take(&state, memory, first, values, count); }

bool engine_invoke(void) {
  const bool ran = graph_invoke(&state, memory);
  if (!ran) error = "the input is not complete";
  return ran;
}

size_t engine_input_bytes(void) { return kInputBytes; }
size_t engine_output_count(void) { return kOutputCount; }
EngineOutput engine_output(size_t index) {
  const ModelOutput& output = kOutputs[index];
  return {memory + graph_outputs[index], output.bytes, output.shape, output.rank, output.scale, output.zero_point};
}
size_t engine_arena_used_bytes(void) { return graph_arena_bytes; }
size_t engine_operator_count(void) { return graph_step_count; }
const char* engine_name(void) { return "compiled"; }
const char* engine_error(void) { return error; }

}  // extern "C"
