#include "cobs_framing.h"

#include <cstring>

#include "board.h"
#include "crc32.h"
#include "ticks.h"

namespace cobs_framing {
namespace {

// A tick is a cycle of the clock. A host that emulates may have to wait for its turn in the middle of a frame.
constexpr uint64_t kPatienceTicks = uint64_t{BOARD_EMULATOR[0] == '\0' ? 2 : 5} * BOARD_CLOCK_HZ;

uint8_t frame[kFrameBytes];
uint32_t frame_bytes = 0;

bool is_open = false, is_damaged = false;
uint8_t block_left = 0;  // COBS: bytes until the next code byte
bool zero_follows = false;
uint64_t last_byte = 0;  // when it came, in ticks
uint32_t damaged_frames = 0;

bool IsSound() {
  if (is_damaged || block_left != 0 || frame_bytes < kHeaderBytes + kCrcBytes) return false;
  uint16_t length;
  uint32_t crc;
  std::memcpy(&length, frame + 3, sizeof length);
  std::memcpy(&crc, frame + frame_bytes - kCrcBytes, sizeof crc);
  return length == frame_bytes - kHeaderBytes - kCrcBytes && crc == Crc32(frame, frame_bytes - kCrcBytes);
}

void Store(uint8_t byte) {
  if (frame_bytes == kFrameBytes) {
    is_damaged = true;
  } else {
    frame[frame_bytes++] = byte;
  }
}

// A code byte: what the block before it stands for is only stored now, since at the frame's end it stands for nothing.
void StartBlock(uint8_t code) {
  if (zero_follows) Store(0);
  block_left = code - 1;
  zero_follows = code != 255;
}

void Open() {
  is_open = true;
  is_damaged = false;
  frame_bytes = 0;
  block_left = 0;
  zero_follows = false;
}

bool IsEmpty() { return frame_bytes == 0 && block_left == 0 && !zero_follows; }

Frame Close() {
  is_open = false;
  if (IsSound()) return {frame, frame_bytes};
  ++damaged_frames;
  return {nullptr, 0};
}

}  // namespace

bool IsOpen() { return is_open; }

Frame Receive(uint8_t byte) {
  last_byte = ticks_now();
  if (byte == 0) {
    if (is_open && !IsEmpty()) return Close();
    Open();  // a doubled 0x00 is no end of a frame
  } else if (block_left == 0) {
    StartBlock(byte);
  } else {
    --block_left;
    Store(byte);
  }
  return {nullptr, 0};
}

void Idle() {
  if (is_open && ticks_now() - last_byte > kPatienceTicks) {
    damaged_frames += IsEmpty() ? 0 : 1;
    is_open = false;
  }
}

uint32_t Damaged() { return damaged_frames; }

// COBS (Cheshire and Baker 1999): each run of up to 254 bytes without a zero is preceded by its length + 1; a shorter run
// stands for itself and a zero.
void Write(const uint8_t* data, uint32_t bytes) {
  board_write(0);
  for (uint32_t begin = 0;;) {
    uint32_t run = 0;
    while (begin + run < bytes && run < 254 && data[begin + run] != 0) ++run;
    board_write(static_cast<char>(run + 1));
    for (uint32_t i = 0; i < run; ++i) board_write(static_cast<char>(data[begin + i]));
    begin += run;
    if (begin >= bytes) break;
    if (run < 254) ++begin;  // the zero that the run stands for
  }
  board_write(0);
}

}  // namespace cobs_framing
