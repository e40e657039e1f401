//! Lists that come page by page, asked for until there are no more.

use crate::exit::Failure;
use followupd_proto::v1;

/// How much a page is asked to hold: the most there may be on one.
pub(crate) const PAGE: u32 = 1_000;

/// A page of a list, and all of it.
pub(crate) trait Paged: Default {
    /// Takes in the page behind it.
    fn take_in(&mut self, page: Self);
    /// What asks for the page behind it; empty: there is none.
    fn next(&self) -> &str;
}

macro_rules! paged {
    ($($list:ident . $items:ident),+) => {$(
        impl Paged for v1::$list {
            fn take_in(&mut self, page: Self) {
                self.$items.extend(page.$items);
                self.next_page_token = page.next_page_token;
            }
            fn next(&self) -> &str {
                &self.next_page_token
            }
        }
    )+};
}

paged!(
    ListTenantsResponse.tenants,
    ListAccountsResponse.accounts,
    ListChannelsResponse.channels,
    ListSequencesResponse.sequences,
    ListEnrollmentsResponse.enrollments,
    ListQuarantinedResponse.enrollment_ids
);

impl Paged for v1::ExportContactResponse {
    fn take_in(&mut self, page: Self) {
        self.contact = page.contact;
        self.enrollments.extend(page.enrollments);
        self.next_page_token = page.next_page_token;
    }
    fn next(&self) -> &str {
        &self.next_page_token
    }
}

/// All of a list; `ask` gets the page of a token.
pub(crate) async fn all<P: Paged>(ask: impl AsyncFn(String) -> Result<P, Failure>) -> Result<P, Failure> {
    until(async |_, token| ask(token).await, |_| false).await
}

/// A list until there is enough of it; `ask` gets the page of a token, behind what there is.
pub(crate) async fn until<P: Paged>(
    ask: impl AsyncFn(&P, String) -> Result<P, Failure>,
    enough: impl Fn(&P) -> bool,
) -> Result<P, Failure> {
    let mut all = P::default();
    loop {
        let page = ask(&all, all.next().to_owned()).await?;
        all.take_in(page);
        if all.next().is_empty() || enough(&all) {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of a token: one account each, `c` the last.
    fn page(token: &str) -> v1::ListAccountsResponse {
        let (name, next) = match token {
            "" => ("a", "1"),
            "1" => ("b", "2"),
            _ => ("c", ""),
        };
        let account = v1::Account { name: name.to_owned(), ..Default::default() };
        v1::ListAccountsResponse {
            accounts: vec![account],
            next_page_token: next.to_owned(),
            ..Default::default()
        }
    }

    fn names(list: &v1::ListAccountsResponse) -> Vec<&str> {
        list.accounts.iter().map(|account| account.name.as_str()).collect()
    }

    #[tokio::test]
    async fn a_list_is_all_its_pages_in_order_or_as_many_as_are_enough() {
        let whole = all(async |token: String| Ok(page(&token))).await.unwrap();
        assert_eq!((names(&whole), whole.next()), (vec!["a", "b", "c"], ""));
        let two = |list: &v1::ListAccountsResponse| list.accounts.len() == 2;
        let some =
            until(async |_: &v1::ListAccountsResponse, token: String| Ok(page(&token)), two).await.unwrap();
        assert_eq!((names(&some), some.next()), (vec!["a", "b"], "2"), "where it goes on is known");
    }
}
