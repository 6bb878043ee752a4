#pragma once
#include <string>
#include <string_view>

namespace wan::io {

/// Replaces every named and numeric character reference as Python's html.unescape does (the HTML 5 rules): names
/// without ';' by the longest known prefix, remapped and forbidden numbers, U+FFFD for numbers out of range.
std::u32string html_unescape(std::u32string_view text);

/// ftfy's unescape_html: only references that end in ';' and are unambiguous, and upper-cased names such as "&EACUTE;".
std::u32string unescape_unambiguous_html(std::u32string_view text);

}  // namespace wan::io
