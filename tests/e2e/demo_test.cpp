// The demo models do what prompts say that training never saw: the clips are judged from their pixels. The prompts are
// some of those that tools/demo_model/make_prompts.py writes.
#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "io/image.h"
#include "support/judge.h"
#include "wan/wan.h"

namespace wan {
namespace {

using test::Clip;
using test::Seen;

const std::string models = WAN_SOURCE_DIR "/models/";

struct Row {
  const char* name;
  const char* prompt;
  Seen shown;
  Precision precision = Precision::f32;
  const char* checkpoint = "demo-t2v";
  const char* image = "";  ///< the first frame, a file of tests/fixtures/demo
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.prompt; }

Engine open(const Row& row) {
  EngineOptions options;
  options.ckpt_dir = models + row.checkpoint;
  options.device = "cpu";
  options.precision = row.precision;
  return Engine::open(options);
}

Request request_of(const Row& row) {
  Request request;
  request.prompt = row.prompt;
  request.seed = 7;
  if (*row.image != '\0') request.image = std::string(WAN_SOURCE_DIR "/tests/fixtures/demo/") + row.image;
  return request;
}

Clip generate(Engine& engine, const Request& request) {
  Clip clip;
  Hooks hooks;
  hooks.on_frame = [&](std::span<const uint8_t> rgb, int width, int height) {
    clip.width = width;
    clip.height = height;
    clip.frames.emplace_back(rgb.begin(), rgb.end());
  };
  engine.generate(request, hooks);
  return clip;
}

class Demo : public testing::TestWithParam<Row> {};

TEST_P(Demo, ShowsWhatThePromptSays) {
  const Row& row = GetParam();
  Engine engine = open(row);
  const Request request = request_of(row);
  const Clip clip = generate(engine, request);
  ASSERT_EQ(clip.frames.size(), 33u);
  const Seen seen = test::judge(clip);
  EXPECT_EQ(seen, row.shown) << "seen: " << test::to_string(seen) << "; wanted: " << test::to_string(row.shown);
  if (!request.image.empty()) {
    EXPECT_GE(test::psnr(clip.frames.front(), io::read_image(request.image).rgb), 28) << "the given picture";
  }
}

// All shapes and motions over the two models.
INSTANTIATE_TEST_SUITE_P(
    T2v, Demo,
    testing::Values(
        Row{"RedBallBounce",
            "a movie showing a medium-sized red ball bouncing up and down on the ground.",
            {1, "red", "ball", "bounce"}},
        Row{"WhiteTriangleUp",
            "Show the white triangle that is gliding towards the top with a dark green backdrop behind.",
            {1, "white", "triangle", "up"}},
        Row{"PurpleCrossShrink", "a purple cross is seen shrinking smaller", {1, "purple", "cross", "shrink"}},
        Row{"WhiteSquareCircleBf16",
            "Black backdrop: a white square goes in circles around the center.",
            {1, "white", "square", "circle"},
            Precision::bf16},
        Row{"CyanStarShrinkBf16",
            "A scene in which a turquoise star keeps shrinking over a plain beige background",
            {1, "cyan", "star", "shrink"},
            Precision::bf16},
        Row{"PurpleRingRightBf16",
            "a movie showing a medium-sized purple donut floating all the way to the right over a plain dark green "
            "background",
            {1, "purple", "ring", "right"},
            Precision::bf16}),
    [](const auto& row) { return row.param.name; });

// The pictures are the first frames that make_prompts.py draws for these prompts.
INSTANTIATE_TEST_SUITE_P(
    Ti2v, Demo,
    testing::Values(
        Row{"OrangeTriangleLeft",
            "We can see a big orange triangle gliding to the left with a lavender backdrop behind",
            {1, "orange", "triangle", "left"},
            Precision::f32,
            "demo-ti2v"},
        Row{"GreenBallDownBf16",
            "against a navy backdrop, a little green ball is floating from the top edge to the bottom edge.",
            {1, "green", "ball", "down"},
            Precision::bf16,
            "demo-ti2v"},
        Row{"OrangeRingCircleFromImage",
            "light purple backdrop: an orange hoop goes in circles around the center",
            {1, "orange", "ring", "circle"},
            Precision::f32,
            "demo-ti2v",
            "orange_ring.png"},
        Row{"YellowStarLeftFromImage",
            "a yellow star, drifting over to the left side.",
            {1, "yellow", "star", "left"},
            Precision::f32,
            "demo-ti2v",
            "yellow_star.png"},
        Row{"PurpleTriangleGrowFromImageBf16",
            "A purple triangle is seen growing bigger against a sandy backdrop",
            {1, "purple", "triangle", "grow"},
            Precision::bf16,
            "demo-ti2v",
            "purple_triangle.png"},
        Row{"PinkCrossRightFromImageBf16",
            "A scene in which a huge pink cross floats rightwards.",
            {1, "pink", "cross", "right"},
            Precision::bf16,
            "demo-ti2v",
            "pink_cross.png"}),
    [](const auto& row) { return row.param.name; });

/// How many clips of `rows` are right in everything, with these changes to the checkpoint's own settings.
template <class Change>
int right(const std::vector<Row>& rows, Change&& change) {
  Engine engine = open(rows.front());
  int count = 0;
  for (const Row& row : rows) {
    Request request = request_of(row);
    change(request);
    const Seen seen = test::judge(generate(engine, request));
    if (seen == row.shown)
      ++count;
    else
      std::printf("%s: %s\n", row.prompt, test::to_string(seen).c_str());
  }
  return count;
}

// Eight stars and crosses, the hardest shapes. Over all 200 prompts of the evaluation 66.5 % are right in everything at
// guidance 1, 85.5 % at 2.5 (the checkpoint's own), 19.5 % at 5.
TEST(DemoSettings, GuidanceMakesPromptsObeyed) {
  const std::vector<Row> rows = {
      Row{"BlueStarRight", "A scene in which a blue star drifts rightwards.", {1, "blue", "star", "right"}},
      Row{"GreenStarBounce",
          "A scene in which a green star keeps bouncing up and down with a white backdrop behind",
          {1, "green", "star", "bounce"}},
      Row{"CyanCrossLeft",
          "a scene in which a cyan plus sign flies to the left against a forest green backdrop.",
          {1, "cyan", "cross", "left"}},
      Row{"BlueStarRight",
          "Watch the blue star as it drifts from the left to the right over a plain forest green background.",
          {1, "blue", "star", "right"}},
      Row{"GreenStarBounce",
          "Light blue backdrop: a green star keeps bouncing up and down",
          {1, "green", "star", "bounce"}},
      Row{"RedStarCircle", "Show a red star that is flying around in a circle", {1, "red", "star", "circle"}},
      Row{"BlackStarUp",
          "a little black star is seen rising with a sky blue backdrop behind.",
          {1, "black", "star", "up"}},
      Row{"RedStarCircle",
          "show a red star that is going in circles around the center over a plain dark blue background",
          {1, "red", "star", "circle"}}};
  const int without = right(rows, [](Request& r) { r.guidance_low = r.guidance_high = 1; });
  const int with = right(rows, [](Request&) {});
  const int much = right(rows, [](Request& r) { r.guidance_low = r.guidance_high = 5; });
  EXPECT_LT(without, with);
  EXPECT_LT(much, with);
}

// Not chosen: the first eight stars and crosses, which are hardest, of the evaluation. Measured: all right by
// either.
TEST(DemoSettings, UniPcIn12StepsIsNoWorseThanEulerIn30) {
  const std::vector<Row> rows = {
      Row{"GreenStarBounce",
          "A scene in which a green star keeps bouncing up and down with a white backdrop behind",
          {1, "green", "star", "bounce"}},
      Row{"PurpleCrossShrink", "a purple cross is seen shrinking smaller", {1, "purple", "cross", "shrink"}},
      Row{"PinkCrossRight", "A scene in which a huge pink cross floats rightwards.", {1, "pink", "cross", "right"}},
      Row{"CyanCrossLeft", "a turquoise plus sign is seen flying over to the left side.", {1, "cyan", "cross", "left"}},
      Row{"PurpleCrossShrink",
          "A movie showing a violet cross shrinking smaller over a plain black background",
          {1, "purple", "cross", "shrink"}},
      Row{"PinkCrossRight",
          "show a medium-sized pink plus sign that is flying rightward.",
          {1, "pink", "cross", "right"}},
      Row{"BlackStarUp",
          "a black star is seen traveling from the bottom edge to the top edge",
          {1, "black", "star", "up"}},
      Row{"BlackCrossGrow", "we can see a black cross getting bigger and bigger", {1, "black", "cross", "grow"}}};
  const auto solver = [&](SolverKind kind, int steps) {
    return right(rows, [=](Request& r) {
      r.solver = kind;
      r.steps = steps;
    });
  };
  EXPECT_GE(solver(SolverKind::unipc, 12), solver(SolverKind::euler, 30));
}

}  // namespace
}  // namespace wan
