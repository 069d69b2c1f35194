// The boxes of the last inference, where the model is a detector; kRoom is 0 where it is none, and nothing else here may be
// used then.
#pragma once

#include <cstdint>

#include "detect.h"
#include "model/model_data.h"

namespace boxes {

#ifdef MODEL_DETECTS
inline constexpr uint32_t kRoom = kBoxRoom, kCrc = kDecoderCrc;
#else
inline constexpr uint32_t kRoom = 0, kCrc = 0;
#endif

// Decodes the outputs of the last inference.
void Decode();

// What Decode() found, best first, and the ticks that it took.
uint32_t Count();
const Box* List();
uint32_t Ticks();

// Decodes, and says whether the boxes are the golden ones.
bool GoldenAreEqual();

}  // namespace boxes
