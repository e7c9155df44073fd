// Exceptions as texts: every function of the shim that can fail returns null, or the exception's text, which the caller frees.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

#include <c10/util/Exception.h>

template <typename Body>
char* fm_guarded(Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception without a text");
  }
}
