// Keys that are the weights' own bits, for kernels that also take scores: see `scaled.wgsl`. Behind `weights.wgsl`.

struct Keys { group: Group, doubt: bool }

// Of the weights of group `w` of a row; never in doubt.
fn keys_of(row: u32, w: u32) -> Keys { return Keys(load(start_in_row(row, w), count_in_row(w)), false); }

fn key_of(row: u32, col: u32) -> u32 { return key_at(view.first + row * view.stride + col); }
