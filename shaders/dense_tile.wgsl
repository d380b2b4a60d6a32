// Four weights of a row from column `col` on; zeros past its end.
fn four_weights(row: u32, col: u32) -> vec4f {
    let at = start_of(row) + col;
    if ALIGNED && col + 4u <= sizes.cols {
        if SIZE == 4u { return bitcast<vec4f>(quads[at / 4u]); }
        let quad = quads[at / 8u];
        return four(select(quad.xy, quad.zw, (at & 4u) == 4u));
    }
    var v = vec4f();
    if col < sizes.cols { v.x = weight(at); }
    if col + 1u < sizes.cols { v.y = weight(at + 1u); }
    if col + 2u < sizes.cols { v.z = weight(at + 2u); }
    if col + 3u < sizes.cols { v.w = weight(at + 3u); }
    return v;
}
