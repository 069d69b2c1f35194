// CRC-32 of zlib and Ethernet: polynomial 0x04C11DB7 reflected, all bits inverted before and after.
#pragma once

#include <cstddef>
#include <cstdint>

// Returns the CRC-32 of `data`, going on from `crc`, that of what came before (0 at the beginning).
uint32_t Crc32(const void* data, size_t bytes, uint32_t crc = 0);
