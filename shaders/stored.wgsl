// Stored weights as f32, for products. Put in front of every kernel that multiplies.

override SIZE: u32 = 4u;       // bytes per weight: 2 or 4
override BRAIN: bool = false;  // weights of 2 bytes are bf16, not f16
override PER: u32 = 16u / SIZE; // weights in 16 bytes

// The two weights of 2 bytes in a word, the lower half first.
fn pair(word: u32) -> vec2f {
    if BRAIN { return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }
    return unpack2x16float(word);
}

fn four(words: vec2u) -> vec4f { return vec4f(pair(words.x), pair(words.y)); }

// Number of a workgroup in a grid folded to two dimensions.
fn linear(workgroup: vec3u, count: vec3u) -> u32 { return workgroup.y * count.x + workgroup.x; }
