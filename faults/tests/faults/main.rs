//! Orders while everything around them fails: the services' own binaries as processes, on real stores, behind doors that can
//! be slowed, stopped, cut, or made to fail at a chosen step. Whatever happened, the auditor then finds nothing.
//!
//! Which test answers which question; `dev/checks` sees to it that they exist.
//!
//! | # | what happens | proven by |
//! |---|---|---|
//! | 1 | 1,000 buyers, 100 units | `of_a_thousand_buyers_of_a_hundred_units_exactly_a_hundred_get_one` |
//! | 2 | double clicks, retries with one key | `twenty_clicks_at_once_make_one_order`, `twenty_checkouts_with_one_key_are_one_order_and_one_answer_whatever_becomes_of_the_cart`, `a_key_gives_the_first_answer_after_the_order_moved_on_and_after_a_restart` |
//! | 3 | the reply is lost after the commit | `a_reply_that_is_lost_after_the_commit_makes_no_second_order_and_clears_the_cart_once` |
//! | 4 | two tabs, one checks out | `what_is_added_during_a_checkout_is_ordered_once_or_stays_in_the_cart` |
//! | 5, 6, 7 | SIGKILL between commit, publish, mark, capture, acknowledgement | `a_service_that_dies_between_any_two_steps_loses_nothing_and_does_nothing_twice` |
//! | 8 | payment twice, late, after the cancel | `declined_lost_and_delivered_orders_end_where_they_should_and_every_event_once_more_changes_nothing`, `a_payment_that_comes_after_the_cancel_is_given_back`, `every_kind_of_message_counts_once_however_often_it_comes` |
//! | 9 | payment declined, timed out | `declined_lost_and_delivered_orders_end_where_they_should_and_every_event_once_more_changes_nothing`, `a_provider_that_fails_and_then_answers_too_late_is_asked_again_and_charges_once` |
//! | 10 | the broker is away | `a_broker_that_is_away_refuses_no_checkout_and_loses_no_event` |
//! | 11 | the broker reads nothing more | `a_blocked_relay_lets_go_of_the_outbox_keeps_its_connection_and_goes_on_when_it_may` |
//! | 12 | poison | `poison_is_parked_with_its_reason_while_other_messages_flow`, `a_message_of_the_next_major_version_is_parked_and_holds_nobody_up` |
//! | 13 | PostgreSQL breaks off | `what_is_written_and_its_answer_lost_is_found_again_and_not_repeated`, `a_database_that_drops_every_connection_again_and_again_delays_orders_and_breaks_none` |
//! | 14 | PostgreSQL is slow | `a_disk_that_is_slow_to_commit_delays_orders_and_never_the_answer_that_they_are_delayed`, `a_locked_row_holds_up_its_own_product_and_nothing_else`, `an_order_whose_row_is_locked_waits_alone`, `a_transaction_that_is_left_open_in_every_database_holds_up_nothing` |
//! | 15 | PostgreSQL's disk is full | `a_full_disk_is_a_503_without_half_an_order_and_recovers_by_itself`, `a_full_disk_where_orders_are_paid_and_shipped_holds_them_up_and_loses_none` |
//! | 16 | Redis forgets, or is away | `a_redis_that_forgets_everything_empties_carts_and_leaves_orders_alone`, `a_cart_without_redis_says_try_again_and_orders_go_on` |
//! | 17 | MongoDB is away | `without_mongodb_nobody_logs_in_and_who_is_logged_in_browses_and_buys` |
//! | 18 | late, silent, lost, broken connections | `whatever_happens_between_any_two_parts_orders_stay_right_and_come_to_their_end` |
//! | 19 | clocks jump and differ | `a_process_whose_clock_is_years_off_holds_up_no_order_loses_none_and_does_nothing_twice`, `processes_of_which_no_two_agree_on_the_year_make_orders_as_any_others`, `databases_whose_clocks_are_an_hour_apart_end_orders_early_or_late_and_break_none`, `an_order_that_is_delivered_before_product_hears_that_it_is_paid_has_its_stock`, `a_token_is_refused_when_spent_early_foreign_or_for_somebody_else` |
//! | 20 | overload, then a storm of retries | `in_a_storm_of_retries_browsing_is_refused_checkouts_are_not_and_afterwards_everything_is_as_before` |
//! | 27 | prices, quantities and fields of the client's own | `numbers_that_are_no_quantities_get_nothing_into_a_cart`, `whose_cart_it_is_and_what_it_costs_is_not_the_clients_to_say`, `an_order_has_the_catalogs_prices_names_and_sellers_whatever_the_request_says` |
//! | 28 | forged, stolen, outdated tokens | `no_forgery_is_taken_for_a_token_and_all_are_refused_in_the_same_words`, `a_spent_refresh_token_ends_its_session_and_no_other`, `the_next_token_of_an_applicant_carries_seller` |
//! | 29 | guessed ids, foreign callers | `guessing_ids_tells_a_stranger_nothing_that_an_unknown_id_does_not`, `every_route_answers_whom_it_should_and_reaches_nobody_elses_cart`, `a_neighbour_in_the_table_of_edges_is_answered_and_any_other_is_not` |
//! | 30 | malformed, endless, too many | `json_that_is_nested_without_end_is_refused_before_it_is_built`, `a_body_over_its_limit_is_a_413_and_one_without_end_is_cut_off`, `a_client_whose_headers_never_end_is_cut_off_however_steadily_they_come`, `bytes_that_are_no_http_2_and_messages_that_are_no_protobuf_are_refused`, `a_client_that_opens_calls_only_to_take_them_back_is_cut_off_and_others_are_served`, `a_bad_request_names_every_field_and_reserves_nothing` |
//!
//! The numbers are those of the scenarios this project began with; 21 to 26, 31 and 32 are about the operator and a cluster.
#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

mod accounts;
mod campaign;
mod checkout;
mod clocks;
mod events;
mod harness;
mod kill_points;
mod neighbours;
mod overload;
mod pairs;
mod slow;
mod stores;
