#include "self_test.h"

#include <cstdint>

#include "board.h"
#include "boxes.h"
#include "engine.h"
#include "inference.h"
#include "lines.h"
#include "model/model_data.h"
#include "text_protocol.h"
#include "ticks.h"

#ifndef INFERENCES
#define INFERENCES 10  // timed ones, besides the golden one
#endif

namespace {

static_assert(INFERENCES > 0, "INFERENCES is 0: at least 1 inference is needed for a median");

template <typename... Parts>
bool Fail(Parts... parts) {
  Line("failed: ", parts...);
  return false;
}

bool RunGolden(uint32_t* count) {
  inference::Runs runs;
  const bool ran = inference::RunGolden(&runs);
  *count = static_cast<uint32_t>(ticks_to_counts(runs.ticks));
  return ran;
}

// Compares all outputs; bytes are counted through them, in the order of the model.
bool GoldenIsEqual() {
  uint32_t different = 0, first = 0;
  for (uint32_t index = kOutputCount; index-- > 0;) {
    const int8_t* golden = kGoldenOutputs + kOutputs[index].offset;
    for (uint32_t i = kOutputs[index].bytes; i-- > 0;) {
      if (inference::Output(index)[i] != golden[i]) {
        ++different;
        first = kOutputs[index].offset + i;
      }
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

// By insertion: std::sort would take a kilobyte of flash for ten numbers.
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
  for (uint32_t i = 0; i < INFERENCES; ++i) {
    if (i > 0 && text_protocol::StopWaits()) {
      return Fail("stopped after ", Number{i}, " of ", Number{INFERENCES}, " inferences");
    }
    if (!RunGolden(&counts[i])) return Fail("invoke: ", engine_error());
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
  Line("model: ", kModelName, " (", Number{kModelFlashBytes}, " bytes)");
}

}  // namespace

bool SelfTest(const char* clock_error) {
  PrintHeader();
  if (clock_error != nullptr) return Fail("clock: ", clock_error);
  if (!inference::IsReady()) {
    return Fail("init: ", inference::Error(), " (arena: ", Number{kArenaBytes}, " bytes)");
  }
  Line("init: ", Number{static_cast<uint32_t>(ticks_to_counts(inference::StartTicks()))}, " " BOARD_COUNTER);
  Line("operators: ", Number{static_cast<uint32_t>(engine_operator_count())});
  Line("arena: ", Number{static_cast<uint32_t>(engine_arena_used_bytes())}, " of ", Number{kArenaBytes}, " bytes");

  uint32_t unused;
  if (!RunGolden(&unused)) return Fail("invoke: ", engine_error());
  const bool equal = GoldenIsEqual();
  bool boxes_are_equal = true;
  if constexpr (boxes::kRoom > 0) boxes_are_equal = boxes::GoldenAreEqual();
  if (!TimeInferences()) return false;
  Line("stack: ", Number{stack_used_bytes()}, " of ", Number{stack_bytes()}, " bytes");
  if (!equal) return Fail("the output is not the golden output");
  if (!boxes_are_equal) return Fail("the boxes are not the golden boxes");
  Line("done");
  return true;
}
