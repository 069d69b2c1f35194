// How many bytes the MPU closes at address 0 and below the stack; C and the linker script read it.
#pragma once

#define GUARD_BYTES 0x10000  // a power of two: a null pointer with an offset, a function whose frame is large
