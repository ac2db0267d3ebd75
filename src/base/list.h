/* SPDX-License-Identifier: MIT */
/* list: intrusive doubly linked list. */
#ifndef ECSSH_LIST_H
#define ECSSH_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A link, or the head of a list.  A link that is in no list points to itself.
 */
struct list {
	struct list *prev, *next;
};

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

/* For a head: no members.  For a link: in no list. */
static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_push(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Take a link out of whatever list it is in, if any. */
static inline void list_del(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Take out and return the first link, or NULL. */
static inline struct list *list_pop(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	head->next = first->next;
	head->next->prev = head;
	list_init(first);
	return first;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): names, which take none */
#define list_for_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* The member at pos may be taken out meanwhile. */
#define list_for_each_safe(pos, head)                                  \
	for (struct list *pos = (head)->next, *pos##_next = pos->next; \
	     pos != (head); pos = pos##_next, pos##_next = pos->next)

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
