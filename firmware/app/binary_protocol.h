// The binary protocol: what the frames of cobs_framing.h ask and are answered; PROTOCOL.md describes it.
#pragma once

#include <cstdint>

namespace binary_protocol {

// Takes a byte of a frame, or the 0x00 that opens or closes one; answers a request when its frame closes.
void Receive(uint8_t byte);

// Called while nothing arrives: gives up a frame that stays open, and a rate at which nothing good came.
void Idle();

}  // namespace binary_protocol
