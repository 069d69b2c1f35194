// Runs the model of model/ on its golden input, compares, times it, and says so on the serial port, one `key: value` a
// line. The last line is `done`, or `failed: reason`. README.md lists the lines.

#include <cstdint>
#include <cstring>

#include "board.h"
#include "console.h"
#include "engine.h"
#include "model/model_data.h"

#ifndef INFERENCES
#define INFERENCES 10  // timed ones, besides the golden one
#endif

namespace {

static_assert(INFERENCES > 0, "INFERENCES is 0: at least 1 inference is needed for a median");

alignas(16) __attribute__((section(".bss.arena"))) uint8_t arena[kArenaBytes];

struct Number {
  uint32_t value;
};

void Print(const char* text) { print(text); }
void Print(Number number) { print_unsigned(number.value); }

// Prints texts and numbers, then ends the line.
template <typename... Parts>
void Line(Parts... parts) {
  (Print(parts), ...);
  print("\n");
}

template <typename... Parts>
int Fail(Parts... parts) {
  Line("failed: ", parts...);
  return 1;
}

Number Bytes(size_t bytes) { return {static_cast<uint32_t>(bytes)}; }

// Wraps after 2^32 ticks: 19 s at 216 MHz, 171 s of the emulator's time.
uint32_t Count(uint32_t ticks) {
  return static_cast<uint32_t>(static_cast<uint64_t>(ticks) * BOARD_COUNTS / BOARD_TICKS);
}

// An inference overwrites its input, so each one gets a fresh copy, outside the time.
bool Infer(uint32_t* count) {
  std::memcpy(engine_input(), kGoldenInput, kInputBytes);
  const uint32_t before = board_ticks();
  const bool ran = engine_invoke();
  *count = Count(board_ticks() - before);
  return ran;
}

bool GoldenIsEqual() {
  uint32_t different = 0, first = 0;
  for (uint32_t i = kOutputBytes; i-- > 0;) {
    if (engine_output()[i] != kGoldenOutput[i]) {
      ++different;
      first = i;
    }
  }
  const Number all{kOutputBytes};
  if (different == 0) {
    Line("golden: equal (", all, " bytes)");
  } else {
    Line("golden: different (", Number{different}, " of ", all, " bytes, first at ", Number{first}, ")");
  }
  return different == 0;
}

void Sort(uint32_t* values, uint32_t length) {
  for (uint32_t i = 1; i < length; ++i) {
    for (uint32_t j = i; j > 0 && values[j] < values[j - 1]; --j) {
      const uint32_t larger = values[j - 1];
      values[j - 1] = values[j];
      values[j] = larger;
    }
  }
}

void PrintTimes(const char* name, const uint32_t* sorted, uint32_t divisor, const char* unit) {
  Line(name, Number{sorted[INFERENCES / 2] / divisor}, unit, " (median of ", Number{INFERENCES}, ", min ",
       Number{sorted[0] / divisor}, ", max ", Number{sorted[INFERENCES - 1] / divisor}, ")");
}

bool TimeInferences() {
  uint32_t counts[INFERENCES];
  for (uint32_t& count : counts) {
    if (!Infer(&count)) return false;
  }
  Sort(counts, INFERENCES);
  PrintTimes("inference: ", counts, 1, " " BOARD_COUNTER);
  if (BOARD_COUNTS == BOARD_TICKS) {  // only cycles are time
    PrintTimes("latency: ", counts, BOARD_CLOCK_HZ / 1000000, " us");
  }
  return true;
}

void PrintHeader() {
  Line("\ntinytrain: firmware");
  Line("board: " BOARD_NAME);
  Line("clock: ", Number{BOARD_CLOCK_HZ}, " Hz");
  Line("engine: ", engine_name());
  Line("model: ", kModelName, " (", Number{kModelBytes}, " bytes)");
}

bool SizesFit() { return engine_input_bytes() == kInputBytes && engine_output_bytes() == kOutputBytes; }

}  // namespace

int main() {
  const char* clock_error = board_init();
  PrintHeader();
  if (clock_error != nullptr) return Fail("clock: ", clock_error);

  const uint32_t before = board_ticks();
  if (!engine_init(kModel, arena, kArenaBytes)) {
    return Fail("init: ", engine_error(), " (arena: ", Number{kArenaBytes}, " bytes)");
  }
  Line("init: ", Number{Count(board_ticks() - before)}, " " BOARD_COUNTER);
  Line("operators: ", Bytes(engine_operator_count()));
  Line("arena: ", Bytes(engine_arena_used_bytes()), " of ", Number{kArenaBytes}, " bytes");
  if (!SizesFit()) return Fail("model_data.h does not describe this model: its input or output has another size");

  uint32_t unused;
  if (!Infer(&unused)) return Fail("invoke: ", engine_error());
  const bool equal = GoldenIsEqual();
  if (!TimeInferences()) return Fail("invoke: ", engine_error());
  Line("stack: ", Number{stack_used_bytes()}, " of ", Number{stack_bytes()}, " bytes");
  if (!equal) return Fail("the output is not the golden output");
  Line("done");
  return 0;
}
