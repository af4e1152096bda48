//! The world: what a trace tells of its processes at each moment (descriptor tables, directories, umasks).
