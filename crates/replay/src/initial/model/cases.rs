//! Sequences that were misread once.

use super::*;

const CREATE: u32 = 0o102;

fn open(path: &str, flags: u32) -> Op {
    Op::Open(path.into(), flags)
}
fn mkdir(path: &str) -> Op {
    Op::Mkdir(path.into())
}
fn rmdir(path: &str) -> Op {
    Op::Rmdir(path.into())
}
fn unlink(path: &str) -> Op {
    Op::Unlink(path.into())
}
fn stat(path: &str, follow: bool) -> Op {
    Op::Stat(path.into(), follow)
}
fn rename(from: &str, to: &str) -> Op {
    Op::Rename(from.into(), to.into())
}
fn link(from: &str, to: &str) -> Op {
    Op::Link(from.into(), to.into())
}
fn symlink(target: &str, path: &str) -> Op {
    Op::Symlink(target.into(), path.into())
}

/// With a look at the file system afterwards, and without one if nothing but calls is needed.
fn holds(before: &[Op], ops: &[Op]) {
    let links = before.iter().any(|op| matches!(op, Op::Symlink(..)));
    for live in [true, false].into_iter().filter(|live| *live || !links) {
        run(before, ops, live).unwrap_or_else(|e| panic!("live: {live}: {e}"));
    }
}

#[test]
fn a_directory_with_a_slash_replaces_no_file() {
    let before = [mkdir("c"), open("c/a", CREATE)];
    holds(&before, &[stat("a/b", false), link("c/.", "a"), rename("a/", "c/a")]);
    let before = [open("a/c", CREATE), mkdir("b")];
    holds(&before, &[rename("b", "a/c/"), unlink("a"), open("b", 0)]);
}

#[test]
fn a_dot_in_a_path_hides_nothing() {
    let before = [open("d", CREATE)];
    holds(&before, &[rename("a/./b", "d"), rename("a/b/a", "d/a"), open("a", 0)]);
    let ops = [open("b", CREATE), rename("a/./a", "b"), link("a/a", "a")];
    holds(&[mkdir("a/a")], &ops);
}

#[test]
fn rmdir_of_a_dot_tells_of_a_directory() {
    holds(&[], &[rmdir("a/b/."), rename("a", "a")]);
    holds(&[], &[rename("a", "c"), rmdir("c/b/.")]);
}

#[test]
fn a_directory_that_is_still_not_empty_held_more_than_what_is_gone() {
    holds(&[mkdir("a/a")], &[rmdir("a"), rmdir("a/a"), rmdir("a")]);
}

#[test]
fn what_was_renamed_and_linked_to_its_old_name_had_one_name() {
    holds(&[open("d", CREATE)], &[rename("d", "c"), link("c", "d")]);
    holds(&[open("d", CREATE)], &[rename("d", "c"), stat("d", true), link("c", "d")]);
}

#[test]
fn a_link_that_was_moved_leads_on_from_where_it_was_followed() {
    holds(&[symlink("a", "a/c")], &[rename("a/c", "b"), stat("b", true)]);
    let ops = [rename("b", "a/a"), open("c", CREATE), Op::Chmod("a/a".into(), 0o600)];
    holds(&[symlink("../c", "b")], &ops);
}

#[test]
fn what_was_opened_shows_links_on_the_way() {
    let ops = [open("d/c", CREATE), stat("a/c", false), rename("d/c", "d")];
    holds(&[symlink("a", "d")], &ops);
    let ops = [rename("a/b", "a"), rename("b", "d"), open("d/b/a", CREATE)];
    holds(&[open("d", CREATE), symlink("a", "b")], &ops);
}

#[test]
fn a_link_through_a_file_is_no_file() {
    let before = [symlink("d/a", "b"), open("d", CREATE)];
    holds(&before, &[open("b", 0), unlink("b")]);
}

#[test]
fn what_a_directory_replaced_was_one() {
    holds(&[mkdir("d")], &[open("d", 0o302), rename("a", "d")]);
    holds(&[mkdir("b")], &[stat("a/b/.", false), rename("b", "a/b")]);
    holds(&[mkdir("d")], &[Op::Truncate("d".into(), 0), rename("a", "d")]);
}

#[test]
fn what_replaces_a_file_is_no_directory() {
    let before = [open("b", CREATE), open("d", CREATE)];
    holds(&before, &[Op::Truncate("b".into(), 0), rename("d", "b"), mkdir("b")]);
    holds(&before, &[mkdir("d"), open("b", 0), rename("d", "b")]);
    let ops = [symlink("a", "d"), link("a", "b"), rename("b", "d")];
    holds(&[open("b", CREATE)], &ops);
}

#[test]
fn what_a_directory_cannot_replace_is_none() {
    holds(&[open("d", CREATE)], &[rename("a", "d"), symlink("a", "d")]);
}

#[test]
fn a_directory_behind_a_link_is_one() {
    let ops = [stat("d", false), rename("a", "c"), open("d", 2), unlink("d")];
    holds(&[symlink("c", "d")], &ops);
}

#[test]
fn a_link_with_a_second_name_behind_itself_leads_where_it_led() {
    holds(&[symlink("a", "c")], &[link("c", "c/b/a"), rename("c", "b")]);
}

#[test]
fn a_link_to_itself_creates_nothing() {
    holds(&[symlink("d", "d")], &[open("d", 0o2101), unlink("d")]);
}

#[test]
fn a_rename_between_two_links_to_a_file_changes_nothing() {
    let before = [open("d", CREATE), link("d", "b")];
    holds(&before, &[rename("b", "d"), unlink("b")]);
    holds(&before, &[rename("b", "d"), link("b", "c"), unlink("d")]);
}

#[test]
fn a_name_behind_which_something_was_missing_and_something_found_is_a_link() {
    let ops = [mkdir("d"), link("d", "b"), open("b/a", 0), open("b", 0), unlink("b")];
    holds(&[symlink("a", "b")], &ops);
}

#[test]
fn listings_of_new_directories_tell_types() {
    holds(&[], &[mkdir("d"), rename("a", "d/a"), open("d", 0o200_000), Op::List(0)]);
}

#[test]
fn what_was_renamed_to_itself_through_a_link_stays() {
    let before = [open("d", CREATE), symlink("a", "b")];
    holds(&before, &[rename("b/b", "a/b"), rename("b", "d"), stat("a/b", false)]);
}

#[test]
fn errors_behind_a_directory_make_it_no_link() {
    holds(&[], &[open("b/.", CREATE), rename("b", "a")]);
    holds(&[], &[Op::Chmod("a/b/a".into(), 0o600), Op::Readlink("a".into())]);
}

#[test]
fn what_two_names_of_a_directory_hold_is_one() {
    let ops = [open("a/b", 0), rename("b", "c"), mkdir("c/b/a")];
    holds(&[symlink("a", "b")], &ops);
    let ops = [rename("b/b", "a/b"), rename("b", "d"), open("d/b/a", CREATE)];
    holds(&[open("d", CREATE), symlink("a", "b")], &ops);
    holds(&[symlink("a", "c")], &[link("c", "c/b/a"), mkdir("a/b"), rename("c", "b")]);
}

#[test]
fn a_name_that_is_made_up_is_in_no_listing() {
    let ops = [stat("a/a/a", false), open("a", 0o200_000), Op::List(0), rename("a/a", "b")];
    holds(&[symlink("../a", "a/a")], &[&ops[..], &[unlink("b")]].concat());
}

#[test]
fn what_a_rename_replaced_unseen_explains_errors_before() {
    let ops = [open("c", CREATE), rename("a", "b"), rename("c", "b")];
    holds(&[symlink("d", "b")], &ops);
    let ops = [rename("d/a", "c/a"), rename("b", "d")];
    holds(&[symlink("a", "b"), open("d", CREATE)], &ops);
}

#[test]
fn a_rename_to_another_link_that_was_seen_changes_nothing() {
    let before = [open("d", CREATE), link("d", "b")];
    holds(&before, &[open("d", 0), rename("b", "d"), unlink("b")]);
}

#[test]
fn a_link_to_itself_is_one_whatever_it_seemed_to_be() {
    let ops = [mkdir("d"), link("d", "b"), open("b", 0), unlink("b")];
    holds(&[symlink("b", "b")], &ops);
}

#[test]
fn what_is_replaced_by_what_it_holds_is_a_link() {
    holds(&[open("c/a", CREATE), symlink("a", "c")], &[rename("c/a", "c")]);
}

#[test]
fn two_links_to_a_file_of_which_one_is_left_show_at_the_end() {
    let before = [open("d", CREATE), link("d", "c")];
    run(&before, &[rename("d", "c"), unlink("c")], true).unwrap();
}

#[test]
fn nothing_is_made_behind_a_link_where_nothing_is() {
    holds(&[symlink("../a/", "b")], &[rename("b", "d"), open("d", CREATE)]);
}

#[test]
fn a_link_that_led_nowhere_leads_somewhere_where_it_was_moved() {
    let ops = [open("b", 0), rename("b", "a/a"), mkdir("a/a/a")];
    holds(&[symlink("../a/b", "b")], &ops);
}

#[test]
fn what_was_found_behind_a_link_that_was_moved_stands_where_it_was_moved() {
    let ops = [rename("a/b", "a"), rename("b", "d"), rename("d/b", "b")];
    holds(&[open("d", CREATE), symlink("a", "b")], &ops);
}

#[test]
fn what_was_opened_shows_a_link_behind_directories() {
    let ops =
        [open("d", CREATE), open("a/b/a", 0o2101), symlink("../c", "a/c"), rename("d", "a/a")];
    holds(&[symlink("b", "a/b/a"), mkdir("c")], &ops);
}

#[test]
fn readlink_with_a_slash_follows_a_link() {
    let ops = [rename("b", "c"), open("b", 0), Op::Readlink("c/".into())];
    holds(&[symlink("a", "b")], &ops);
}

#[test]
fn an_inode_number_tells_where_a_link_led() {
    let before = [symlink("a", "c"), open("c/a", CREATE)];
    holds(&before, &[open("a/a", 0), rename("c/a", "c")]);
    let ops = [open("a/a", 0o302), rename("c/a", "c")];
    holds(&[symlink("a", "c")], &ops);
}

#[test]
fn a_link_may_lead_to_what_was_made() {
    holds(&[symlink("b", "c")], &[mkdir("b"), link("c", "c/c")]);
}

#[test]
fn a_link_to_itself_has_the_length_that_was_seen() {
    let ops = [stat("c", true), stat("d", false), unlink("d")];
    holds(&[symlink("d", "c"), symlink("c/a", "d")], &ops);
}

#[test]
fn a_change_through_a_link_that_is_gone_shows_where_it_led() {
    let chmod = Op::Chmod("d".into(), 0o600);
    let before = [symlink("c", "d")];
    holds(&before, &[open("c", CREATE), chmod.clone(), unlink("d")]);
    holds(&before, &[mkdir("c"), chmod.clone(), unlink("d")]);
    holds(&before, &[open("c", CREATE), chmod, stat("c", true), unlink("d")]);
    let chmod = Op::Chmod("c/b".into(), 0o600);
    holds(&[symlink("a", "c")], &[stat("a/b", false), chmod.clone(), unlink("c")]);
    let ops = [symlink("a", "c/b"), stat("a/b", false), chmod, unlink("c")];
    holds(&[symlink("a", "c")], &ops);
    let ops = [symlink("a", "c/f"), stat("a/f", false), Op::Truncate("c/f".into(), 9), unlink("c")];
    holds(&[symlink("a", "c"), open("a/f", CREATE)], &ops);
}

#[test]
fn many_links_that_are_gone_are_told_apart() {
    let (mut before, mut ops) = (Vec::new(), Vec::new());
    for i in 0..12 {
        let (link, directory) = (format!("l{i}"), format!("d{i}"));
        before.extend([mkdir(&directory), open(&format!("{directory}/f"), CREATE)]);
        before.push(symlink(&directory, &link));
        ops.push(Op::Chmod(format!("{link}/f"), 0o600));
        ops.extend([open(&format!("{link}/g"), CREATE), unlink(&link)]);
    }
    holds(&before, &ops);
}

#[test]
fn a_directory_that_was_moved_is_not_the_link_that_an_open_showed() {
    let before = [symlink("../c", "a/c")];
    holds(&before, &[mkdir("c"), open("a/c/a", CREATE), rename("a", "d")]);
    holds(&before, &[mkdir("c"), open("a/c/a", CREATE), unlink("a"), rename("a", "d")]);
}

#[test]
fn a_file_that_was_moved_through_a_link_is_gone_from_where_it_led() {
    let before = [symlink("a", "c"), open("c/a", CREATE)];
    holds(&before, &[open("a/a", 0o302), rename("c/a", "c")]);
}

#[test]
fn a_link_that_was_moved_through_itself_is_gone_from_its_directory() {
    holds(&[symlink("../a", "a/c")], &[rename("a/c/c", "a/a")]);
}

#[test]
fn a_link_that_led_nowhere_leads_to_a_directory_that_came() {
    let ops = [stat("d/.", false), rename("a", "c"), open("d", 2), unlink("d")];
    holds(&[symlink("c", "d")], &ops);
}

#[test]
fn a_directory_that_did_not_move_into_itself_was_reached_through_a_link() {
    holds(&[symlink("a", "d")], &[rename("a", "d/a"), unlink("d")]);
    holds(&[symlink("a", "d")], &[rename("a", "d/b/a"), unlink("d")]);
}

#[test]
fn a_rename_to_the_same_file_through_a_link_that_is_gone_changes_nothing() {
    holds(&[symlink("a", "d")], &[rename("a/b", "d/b"), unlink("d")]);
}

#[test]
fn what_was_found_behind_a_link_is_not_what_the_name_is() {
    let ops = [symlink("a", "d"), link("d", "d/."), rename("d", "b/"), unlink("d")];
    holds(&[symlink("a", "d")], &ops);
    holds(&[symlink("a", "c")], &[stat("c", false), link("a", "c/a"), unlink("c")]);
}

#[test]
fn a_link_to_itself_explains_an_error_although_something_replaced_it() {
    let before = [symlink("b", "b"), symlink("b", "c")];
    holds(&before, &[stat("c/a", false), rename("b", "c")]);
}

#[test]
fn a_file_replaces_a_link_to_a_directory_and_no_directory() {
    let ops = [open("a/a", 0o302), rename("b/a", "c"), rename("b", "a/a")];
    holds(&[symlink("a", "b"), open("a/a", CREATE)], &ops);
    let before = [open("d", CREATE), symlink("../a", "a/a")];
    holds(&before, &[stat("a/a", true), rename("d", "a/a")]);
    let before = [symlink("a", "c"), symlink("a", "a/a")];
    holds(&before, &[stat("c/c", true), open("c", 0o302), rename("a/a", "c")]);
    holds(&before, &[stat("c", true), open("a", 0), rename("a/a", "c"), unlink("c")]);
}

#[test]
fn an_open_shows_a_link_to_a_file_of_the_same_name() {
    let ops = [open("d", CREATE), stat("d", false), unlink("d")];
    holds(&[symlink("../d", "d")], &ops);
}

#[test]
fn a_directory_that_is_still_there_is_no_link() {
    holds(&[mkdir("c"), symlink("../c", "c/c")], &[open("c/c", 0), open("c/a", CREATE)]);
}

#[test]
fn a_link_that_led_to_its_directory_leads_there_where_it_was_moved() {
    let ops = [rename("a", "d"), symlink("d", "c"), Op::Truncate("c/a/b".into(), 0)];
    holds(&[symlink("../c", "a/a")], &ops);
}

#[test]
fn a_file_is_not_created_behind_a_link_that_ends_in_a_slash() {
    holds(&[], &[symlink("d/", "c"), symlink("b/a", "d"), open("c", 0o1102)]);
}

#[test]
fn an_old_name_with_a_slash_is_that_of_a_directory() {
    holds(&[symlink("a", "b")], &[link("b/", "a"), unlink("b")]);
}

#[test]
fn a_link_to_itself_that_was_seen_to_be_one_has_the_length_that_was_seen() {
    let ops = [symlink("a", "c/a"), open("c", 0o400_000), stat("c", false), unlink("c")];
    holds(&[symlink("c/a", "c")], &ops);
}

#[test]
fn an_open_shows_directories_in_which_a_link_led_to_a_file_of_the_same_name() {
    holds(&[symlink("b/c", "a/c")], &[open("a/c", CREATE), link("a/c", "a/a")]);
}

#[test]
fn what_is_missing_behind_an_old_name_shows_that_it_is_gone() {
    holds(&[open("d", CREATE)], &[rename("d", "c"), mkdir("d/a"), link("c", "d")]);
}

#[test]
fn what_stands_untouched_in_a_directory_that_was_moved_stood_there_before() {
    holds(&[symlink("a", "a/b/b")], &[rename("a", "b"), rename("b/b", "a")]);
}

#[test]
fn a_link_through_a_file_is_refused() {
    let before = [open("a/c", CREATE), open("d", CREATE)];
    let ops = [link("d", "a/c/a"), symlink("a", "a/c"), Op::Truncate("d".into(), 0)];
    holds(&before, &ops);
    let before = [mkdir("b"), open("b/a", CREATE), open("a/c", CREATE)];
    let ops = [link("a", "b/a"), open("a/c", 0), link("a/c", "b/a/a"), open("c", 0)];
    holds(&before, &ops);
    holds(&before, &[link("b/a/", "c"), mkdir("b/a")]);
    holds(&before, &[link("b/a/.", "c"), mkdir("b/a")]);
}

#[test]
fn what_replaces_an_unseen_file_is_no_directory() {
    let before = [open("d", CREATE), open("b", CREATE)];
    let ops = [Op::Truncate("b/a".into(), 0), rename("d", "b"), mkdir("b")];
    holds(&before, &ops);
    let before = [open("a/c", CREATE), mkdir("c")];
    let ops = [rename("a", "c/."), rename("a", "c"), symlink("a", "c/c/a")];
    holds(&before, &ops);
    let before = [open("c", CREATE), open("d", CREATE)];
    holds(&before, &[mkdir("c"), open("d", 0o302), rename("c", "d")]);
}

#[test]
fn a_change_that_no_call_made_shows_another_name_of_the_file() {
    let before = [open("b", CREATE), link("b", "c")];
    let chmod = Op::Chmod("b".into(), 0o600);
    holds(&before, &[stat("c", false), chmod.clone(), stat("c", false)]);
    holds(&before, &[stat("c", false), chmod.clone(), stat("c", false), unlink("b")]);
    let truncate = Op::Truncate("c".into(), 2);
    holds(&before, &[open("b", 0), truncate, Op::Read(0, 1, None)]);
    let before = [open("c", CREATE), symlink("c", "b")];
    run(&before, &[stat("c", false), chmod, stat("c", false)], false).unwrap();
}

#[test]
fn a_link_that_was_moved_leads_from_where_it_was_followed() {
    let before = [symlink("a", "b/a"), mkdir("b")];
    holds(&before, &[open("c", CREATE), rename("b/a", "c"), Op::Rmdir("c/.".into())]);
}
