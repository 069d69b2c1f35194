// How far from address 0, and how far below the stack, an access is that of a null pointer or of a full stack. The MPU of an
// ARMv7-M closes so many bytes (mpu.c); C and the linker script read it.
#pragma once

#define GUARD_BYTES 0x10000  // a power of two: a null pointer with an offset, a function whose frame is large
