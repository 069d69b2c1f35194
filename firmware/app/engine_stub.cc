// An engine without a library, for tests of everything around it. It is no network: its output mixes the input's bytes,
// so that each input has its own output, known to the host (tests/helpers/firmware_helpers.py computes the same). On the
// data of a real model it therefore reports a different golden output.

#include <cstdint>

#include "engine.h"
#include "model/model_data.h"
#include "whole_input.h"

namespace {

int8_t* input = nullptr;
WholeInput whole_input;
int8_t* outputs = nullptr;  // one after the other
size_t used_bytes = 0;
const char* error = "";

constexpr size_t Aligned(size_t bytes) { return (bytes + 15) & ~size_t{15}; }

}  // namespace

extern "C" {

bool engine_init(uint8_t* arena, size_t arena_bytes) {
  used_bytes = Aligned(kInputBytes) + Aligned(kOutputBytes);
  if (used_bytes > arena_bytes) {
    error = "the arena is too small";
    return false;
  }
  if (reinterpret_cast<uintptr_t>(kModel) % 16 != 0 || reinterpret_cast<uintptr_t>(arena) % 16 != 0) {
    error = "model or arena is not 16-byte aligned";
    return false;
  }
  (void)*static_cast<const volatile uint8_t*>(kModel);  // a real engine reads it, so it takes its flash
  input = reinterpret_cast<int8_t*>(arena);
  outputs = reinterpret_cast<int8_t*>(arena + Aligned(kInputBytes));
  return true;
}

// FNV-1a over the input, then one step of a linear congruential generator for each byte of the outputs.
bool engine_invoke(void) {
  if (!whole_input.Use(kInputBytes)) {
    error = "the input is not complete";
    return false;
  }
  operator_begins();
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < kInputBytes; ++i) {
    hash = (hash ^ static_cast<uint8_t>(input[i])) * 16777619u;
    input[i] = 0;  // a real engine overwrites its input, too
  }
  for (size_t i = 0; i < kOutputBytes; ++i) {
    hash = hash * 1664525u + 1013904223u;
    outputs[i] = static_cast<int8_t>(hash >> 24);
  }
  operator_ends();
  return true;
}

bool engine_input(size_t first, const int8_t* values, size_t count) {
  return whole_input.Take(input, kInputBytes, first, values, count);
}
size_t engine_input_bytes(void) { return kInputBytes; }
size_t engine_output_count(void) { return kOutputCount; }
EngineOutput engine_output(size_t index) {
  const ModelOutput& output = kOutputs[index];
  return {outputs + output.offset, output.bytes, output.shape, output.rank, output.scale, output.zero_point};
}
size_t engine_arena_used_bytes(void) { return used_bytes; }
size_t engine_operator_count(void) { return 1; }
const char* engine_name(void) { return "stub"; }
const char* engine_error(void) { return error; }

}  // extern "C"
