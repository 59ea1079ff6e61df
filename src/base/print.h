/* Texts with values in them: printf's language without the C library's printf, which would bring floats of 128 bits, wide
   characters and locales into a page's engine. */
#ifndef WF_BASE_PRINT_H
#define WF_BASE_PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf: writes at most cap − 1 bytes and a NUL (nothing where cap is 0), returns how long the whole text is.
   Conversions: s c d i u x g f e and %%, with the flags - and 0, width and precision (also *), and the lengths l, ll and z.
   Precision of numbers is at most 60. Text is the same in every locale. Another conversion ends the text with its own letters. */
int wf_print_list(char *dst, size_t cap, const char *format, va_list args);

/* As snprintf, likewise. */
int wf_print(char *dst, size_t cap, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
