/// The sums of the counts before each, and of all at the end. Twin of `shaders/scan.wgsl`.
pub fn scan(counts: &[u32]) -> Vec<u32> {
    let mut places = vec![0];
    let mut sum = 0;
    for count in counts {
        sum += count;
        places.push(sum);
    }
    places
}
