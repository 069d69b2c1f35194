// Lines of text and numbers on the serial port: Line("m-infer-start-", Number{n}).
#pragma once

#include <cstdint>

#include "console.h"

struct Number {
  uint32_t value;
};

inline void Print(const char* text) { print(text); }
inline void Print(Number number) { print_unsigned(number.value); }

template <typename... Parts>
void Line(Parts... parts) {
  (Print(parts), ...);
  print("\n");
}
