// Frames on the serial line, `00 COBS(body) 00` with a CRC-32: received byte by byte, and written. PROTOCOL.md has them.
#pragma once

#include <cstdint>

namespace cobs_framing {

constexpr uint32_t kPayloadBytes = 512;
constexpr uint32_t kHeaderBytes = 5, kCrcBytes = 4;  // type, sequence, length; CRC-32
constexpr uint32_t kFrameBytes = kHeaderBytes + kPayloadBytes + kCrcBytes;

// A body, header and CRC-32 included; data is nullptr for none.
struct Frame {
  const uint8_t* data;
  uint32_t bytes;
};

// Returns whether a frame is open, so that the next byte belongs to it.
bool IsOpen();

// Takes a byte of a frame, or the 0x00 that opens or closes one; returns the frame that it closes, if that is sound.
Frame Receive(uint8_t byte);

// Called while nothing arrives: gives up a frame that stays open.
void Idle();

// Returns how many frames came damaged since reset.
uint32_t Damaged();

// Sends a body.
void Write(const uint8_t* data, uint32_t bytes);

}  // namespace cobs_framing
