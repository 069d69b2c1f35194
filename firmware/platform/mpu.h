// The memory protection unit: what no code may touch faults instead of doing harm.
#pragma once

// Closes what is below the stack and the first addresses, which a null pointer means; does nothing on a core without MPU.
void mpu_start(void);
