// What the threads of a team before this one have, where a team is a subgroup.

fn place_of(local: u32, lane: Lane) -> u32 { return lane.subgroup * TEAM + lane.member; }

// For what goes on as long as its team does: teams end apart.
fn team_of(place: u32) -> u32 { return place / TEAM; }

fn scan_team(own: vec4u, local: u32) -> vec4u { return subgroupExclusiveAdd(own); }

fn scan_two(own: vec2u, local: u32) -> vec2u { return subgroupExclusiveAdd(own); }

// What all of a team have, of the sums up to and with each thread: what the last one has.
fn whole_two(sum: vec2u, local: u32) -> vec2u { return subgroupShuffle(sum, TEAM - 1u); }

fn sum_team(own: vec4f, local: u32) -> vec4f { return subgroupAdd(own); }
