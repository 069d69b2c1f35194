#include "mpu.h"

#include "board.h"
#include "cortex_m.h"
#include "guard.h"

extern uint32_t stack_limit[];  // an address from link.ld.S

#if __ARM_ARCH == 8
#if defined BOARD_FAST_RAM_ORIGIN && BOARD_FAST_RAM_ORIGIN != BOARD_RAM_ORIGIN
#error "fast RAM apart from the rest needs a region of the MPU: open it in mpu_start()"
#endif

enum { kNormal, kDevice, kRegions = 3 };
static const uint32_t kPeripherals = 0x40000000, kPeripheralBytes = 0x20000000;

// DDI0553, D1.2: from `first` to before `end`, both multiples of 32.
static void open(uint32_t region, uint32_t first, uint32_t end, uint32_t access, uint32_t attributes) {
    MPU_RNR = region;
    MPU_RBAR = first | access;
    MPU_RLAR = (end - 32) | MPU_RLAR_ATTRIBUTES(attributes) | MPU_RLAR_ENABLE;
}

// An ARMv8-M has no region that is closed to privileged code. What is in no region is, so those that are used are opened:
// flash, RAM from the stack on, peripherals. The core's own registers need none, nor do the handlers of faults.
void mpu_start(void) {
    if (MPU_TYPE_DREGION(MPU_TYPE) < kRegions) {
        return;
    }
    MPU_CTRL = 0;  // a boot ROM may have used it
    MPU_MAIR0 = MAIR_NORMAL << 8 * kNormal | MAIR_DEVICE << 8 * kDevice;
    open(0, BOARD_FLASH_ORIGIN, BOARD_FLASH_ORIGIN + BOARD_FLASH_BYTES, MPU_RBAR_READ_ONLY, kNormal);
    open(1, (uint32_t)stack_limit, BOARD_RAM_ORIGIN + BOARD_RAM_BYTES, MPU_RBAR_XN, kNormal);
    open(2, kPeripherals, kPeripherals + kPeripheralBytes, MPU_RBAR_XN, kDevice);
    barrier();
    MPU_CTRL = MPU_CTRL_ENABLE;
    barrier();
}
#else
// B3.5: a region of the MPU that nothing may read, write or execute.
static void guard(uint32_t region, uint32_t base) {
    MPU_RNR = region;
    MPU_RBAR = base;
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_SIZE(GUARD_BYTES) | MPU_RASR_ENABLE;
}

// Null pointers, and the stack. At address 0 is an alias of the flash, the ITCM, which nothing uses, or on an emulated
// board the flash itself, where the linker leaves all but the vectors out of the guard: the core reads those past the MPU
// (B3.5.1).
void mpu_start(void) {
    if (MPU_TYPE_DREGION(MPU_TYPE) < 2) {
        return;
    }
    guard(0, 0);
    guard(1, (uint32_t)stack_limit - GUARD_BYTES);
    barrier();
    MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_PRIVDEFENA;
    barrier();
}
#endif
