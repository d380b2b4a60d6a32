// What the threads of a team before this one have, in workgroup memory.

var<workgroup> counted: array<vec4u, 256>;

fn place_of(local: u32, lane: Lane) -> u32 { return local; }

// For what goes on as long as its team does: a workgroup is one, since all of it has to meet at barriers.
fn team_of(place: u32) -> u32 { return 0u; }

fn scan_team(own: vec4u, local: u32) -> vec4u {
    let member = local % TEAM;
    workgroupBarrier(); // the last round's counts have been read
    counted[local] = own;
    workgroupBarrier();
    var sum = own;
    for (var reach = 1u; reach < TEAM; reach *= 2u) {
        if member >= reach { sum += counted[local - reach]; }
        workgroupBarrier();
        counted[local] = sum;
        workgroupBarrier();
    }
    return sum - own;
}

fn scan_two(own: vec2u, local: u32) -> vec2u { return scan_team(vec4u(own, 0u, 0u), local).xy; }

// What all of a team have, of the sums up to and with each thread that `scan_two` has just made.
fn whole_two(sum: vec2u, local: u32) -> vec2u { return counted[local / TEAM * TEAM + TEAM - 1u].xy; }

var<workgroup> added: array<vec4f, 256>;

fn sum_team(own: vec4f, local: u32) -> vec4f {
    added[local] = own;
    workgroupBarrier();
    for (var half = TEAM / 2u; half > 0u; half /= 2u) {
        if local % TEAM < half { added[local] += added[local + half]; }
        workgroupBarrier();
    }
    return added[local / TEAM * TEAM];
}
