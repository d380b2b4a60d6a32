// What the threads of a team before this one have, in workgroup memory.

var<workgroup> counted: array<vec4u, 256>;

fn place_of(local: u32, lane: Lane) -> u32 { return local; }

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
