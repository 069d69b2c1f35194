// The input of an engine that needs all of it in one tensor: the pieces that engine_input() gets, put together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

class WholeInput {
 public:
  // Takes values as engine_input() does, for a tensor of `bytes`.
  bool Take(int8_t* tensor, size_t bytes, size_t first, const int8_t* values, size_t count) {
    if (first == 0) taken_ = 0;
    if (first != taken_ || count > bytes - taken_) return false;
    std::memcpy(tensor + first, values, count);
    taken_ += count;
    return true;
  }

  // Returns whether it is complete; the engine may use it up then.
  bool Use(size_t bytes) {
    const bool complete = taken_ == bytes;
    if (complete) taken_ = 0;
    return complete;
  }

 private:
  size_t taken_ = 0;
};
