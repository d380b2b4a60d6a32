// Blocks of HEIGHT by WIDTH weights, of which only those are stored, whole, that keep any. Blocks at the edges are filled up
// with zeros, and so are places within a block whose weight is not kept.

override HEIGHT: u32 = 4u;
override WIDTH: u32 = 4u;
