#include "boxes.h"

#include <cstring>

#include "board.h"
#include "inference.h"
#include "lines.h"
#include "ticks.h"

#ifdef MODEL_DETECTS

namespace boxes {
namespace {

static_assert(kBoxCandidates >= kRoom, "the list holds all boxes of an image");
Box list[kBoxCandidates];
uint32_t count = 0, decode_ticks = 0;

// Which one is linked follows from the type of kDetector.
inline int DetectAs(const AnchorDetector& detector, const int8_t* const* outputs) {
  return detect(&detector, outputs, list, kBoxCandidates, kRoom);
}
inline int DetectAs(const CellDetector& detector, const int8_t* const* outputs) {
  return detect_cells(&detector, outputs[0], list, kRoom);
}

}  // namespace

void Decode() {
  const int8_t* outputs[kOutputCount];
  for (uint32_t i = 0; i < kOutputCount; ++i) outputs[i] = inference::Output(i);
  board_watchdog_feed();
  const uint64_t before = ticks_now();
  count = static_cast<uint32_t>(DetectAs(kDetector, outputs));
  decode_ticks = static_cast<uint32_t>(ticks_now() - before);
}

uint32_t Count() { return count; }
const Box* List() { return list; }
uint32_t Ticks() { return decode_ticks; }

bool GoldenAreEqual() {
  Decode();
  uint32_t equal = 0;
  while (equal < count && equal < kGoldenBoxCount && std::memcmp(list + equal, kGoldenBoxes + equal, sizeof(Box)) == 0) {
    ++equal;
  }
  const bool all = equal == count && equal == kGoldenBoxCount;
  if (all) {
    Line("boxes: equal (", Number{count}, ")");
  } else {
    Line("boxes: different (", Number{count}, ", golden ", Number{kGoldenBoxCount}, ", the first ", Number{equal},
         " equal)");
  }
  Line("decode: ", Number{static_cast<uint32_t>(ticks_to_counts(decode_ticks))}, " " BOARD_COUNTER);
  return all;
}

}  // namespace boxes

#endif
