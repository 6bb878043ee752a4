#include "io/html_unescape.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/html_entities.h"

namespace wan::io {
namespace {

TEST(HtmlUnescape, NamesWithAndWithoutSemicolon) {
  EXPECT_EQ(html_unescape(U"&lt;&lt&notit;&notin;&copy2020"), U"<<¬it;∉©2020");
  EXPECT_EQ(html_unescape(U"&unknown; & && &"), U"&unknown; & && &");
  EXPECT_EQ(html_unescape(U"&NotEqualTilde;"), U"\u2242\u0338");
}

TEST(HtmlUnescape, Numbers) {
  EXPECT_EQ(html_unescape(U"&#65;&#66&#x43;&#X44 &#x;&#;"), U"ABCD &#x;&#;");
  EXPECT_EQ(html_unescape(U"&#0;&#128;&#xD800;&#x110000;&#99999999999999999999;"), U"\uFFFD€\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(html_unescape(U"[&#1;&#xFFFE;&#127;&#x10FFFF;]"), U"[]");
}

TEST(HtmlUnescape, ResolvesOneLevel) { EXPECT_EQ(html_unescape(U"&amp;amp;lt;"), U"&amp;lt;"); }

TEST(UnescapeUnambiguousHtml, NeedsTheSemicolon) {
  EXPECT_EQ(unescape_unambiguous_html(U"&amp &lt; this&not that &eacute;"), U"&amp < this&not that é");
  EXPECT_EQ(unescape_unambiguous_html(U"&EACUTE;&SZLIG;&nTILDE;"), U"ÉSS&nTILDE;");
  EXPECT_EQ(unescape_unambiguous_html(U"&#65;&#66 &#12ab;&#59;"), U"A&#66 &#12ab;&#59;");
}

TEST(HtmlEntities, AreSortedForBinarySearch) {
  const auto by_name = [](const HtmlEntity& a, const HtmlEntity& b) { return a.name < b.name; };
  EXPECT_TRUE(std::is_sorted(kHtml5Entities.begin(), kHtml5Entities.end(), by_name));
  EXPECT_TRUE(std::is_sorted(kUpperCaseEntities.begin(), kUpperCaseEntities.end(), by_name));
}

}  // namespace
}  // namespace wan::io
