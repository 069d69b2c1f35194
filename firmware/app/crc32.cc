#include "crc32.h"

// Four bits at a time: a table of 64 bytes where one for a byte takes 1 KB of flash.
uint32_t Crc32(const void* data, size_t bytes, uint32_t crc) {
  static constexpr uint32_t kTable[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
  };
  const auto* byte = static_cast<const uint8_t*>(data);
  crc = ~crc;
  for (const uint8_t* end = byte + bytes; byte < end; ++byte) {
    crc ^= *byte;
    crc = crc >> 4 ^ kTable[crc & 15];
    crc = crc >> 4 ^ kTable[crc & 15];
  }
  return ~crc;
}
