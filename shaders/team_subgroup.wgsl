// What the threads of a team before this one have, where a team is a subgroup.

fn place_of(local: u32, lane: Lane) -> u32 { return lane.subgroup * TEAM + lane.member; }

fn scan_team(own: vec4u, local: u32) -> vec4u { return subgroupExclusiveAdd(own); }
